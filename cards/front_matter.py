"""The YAML block at the top of README.md, of which the Hub makes tags, links and results."""

from __future__ import annotations

import math

from huggingface_hub import EvalResult, ModelCardData

from cards.escaping import Markdown
from cards.licenses import hub_license
from cards.metrics import EXPLAINED_VARIANCE, measurement
from cards.sources import Sources

_ORDER = ("license", "library_name", "base_model", "base_model_relation", "language", "tags")


def front_matter(sources: Sources) -> Markdown:
    """The block without its `---` lines.

    Raises:
        UnknownLicense: the Hub does not know the manifest's license id.
        MissingMetric: an SAE has no explained variance in the report.
    """
    manifest = sources.loaded.manifest
    results = _results(sources)
    data = ModelCardData(
        license=hub_license(manifest.license) if manifest.license else None,
        library_name="saelens",
        base_model=manifest.base_model.id,
        base_model_relation=manifest.base_model.relation,
        language=list(manifest.language),
        tags=list(dict.fromkeys(" ".join(tag.split()) for tag in manifest.tags)) or None,
        model_name=manifest.repo_id.split("/")[1] if results else None,
        eval_results=results or None,
    )
    return Markdown(data.to_yaml(line_break="\n", original_order=list(_ORDER)))


def _results(sources: Sources) -> list[EvalResult]:
    """Mean, lowest and highest held-out explained variance; nothing if one was not measured."""
    found = [
        measurement(sources.report, spec.sae_id, EXPLAINED_VARIANCE).value
        for spec in sources.loaded.saes
    ]
    values = [value for value in found if value is not None]
    if len(values) < len(found):
        return []
    statistics = {
        f"held-out explained variance, mean of {len(values)} SAEs": math.fsum(values) / len(values),
        f"held-out explained variance, lowest of {len(values)} SAEs": min(values),
        f"held-out explained variance, highest of {len(values)} SAEs": max(values),
    }
    data = sources.loaded.manifest.data
    kind = "documents" if data.text else "completions"
    return [
        EvalResult(
            task_type="activation-reconstruction",
            task_name="Reconstruction of residual-stream activations",
            dataset_type="text" if data.text else "labelled-completions",
            dataset_name=f"Held-out {kind} of {data.at_hand().file}",
            dataset_split="held_out",
            dataset_revision=data.sha256,
            metric_type="explained_variance",
            metric_name=name,
            metric_value=round(value, 3),
        )
        for name, value in statistics.items()
    ]
