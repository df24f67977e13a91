"""The YAML block at the top of README.md, of which the Hub makes tags, links and results.

The results are those of each SAE alone, explained variance beside the L0 that it was reached with:
a mean, a lowest or a highest over SAEs of other layers and sparsities describes none of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from huggingface_hub import EvalResult, ModelCardData

from cards.escaping import Markdown
from cards.licenses import hub_license
from cards.sections.metrics import EXPLAINED_VARIANCE, L0, Metric, measurement
from cards.sources import Sources

_ORDER = (
    *("license", "library_name", "base_model", "base_model_relation"),
    *("datasets", "language", "tags"),
)
# By metric: what it is called, and to how many decimals the card prints it.
_HEADLINES: tuple[tuple[Metric, str, int], ...] = (
    (EXPLAINED_VARIANCE, "explained variance", 3),
    (L0, "L0", 1),
)


def front_matter(sources: Sources) -> Markdown:
    """The block without its `---` lines; without measurements it has no `model-index`.

    Raises:
        UnknownLicense: the Hub does not know the manifest's license id.
        MissingMetric: an SAE has no explained variance or no L0 in the report.
    """
    manifest = sources.loaded.manifest
    results = list(_results(sources)) if sources.has_measurements else []
    dataset = manifest.data.dataset
    data = ModelCardData(
        license=hub_license(manifest.license) if manifest.license else None,
        library_name="saelens",
        base_model=manifest.base_model.id,
        base_model_relation=manifest.base_model.relation,
        datasets=[dataset.id] if dataset else None,
        language=list(manifest.language),
        tags=list(dict.fromkeys(" ".join(tag.split()) for tag in manifest.tags)) or None,
        model_name=manifest.repo_id.split("/")[1] if results else None,
        eval_results=results or None,
    )
    return Markdown(data.to_yaml(line_break="\n", original_order=list(_ORDER)))


def _results(sources: Sources) -> Iterator[EvalResult]:
    """Both headlines of every SAE; none where one could not be measured, which the card says."""
    data = sources.loaded.manifest.data
    kind = "documents" if data.text else "completions"
    file = data.file or (data.dataset.name if data.dataset else "the data")
    for spec in sources.loaded.saes:
        for metric, called, decimals in _HEADLINES:
            found = measurement(sources.report, spec.sae_id, metric)
            if found.value is None:
                continue
            yield EvalResult(
                task_type="activation-reconstruction",
                task_name="Reconstruction of residual-stream activations",
                dataset_type="text" if data.text else "labelled-completions",
                dataset_name=f"Held-out {kind} of {file}, {spec.condition}",
                # The Hub tells results apart by type, configuration, split and revision.
                dataset_config=spec.condition,
                dataset_split="held_out",
                dataset_revision=data.sha256,
                metric_type=metric.name,
                metric_name=f"{spec.sae_id}: held-out {called}, n = {found.n}",
                metric_value=round(found.value, decimals),
            )
