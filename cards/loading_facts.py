"""What the loading examples of a card name: ids, hook, precision, an example prompt."""

from __future__ import annotations

from dataclasses import dataclass

from cards.escaping import Markdown
from cards.sources import Sources
from manifests.base_model import Precision
from manifests.data import PlainText, Pooling
from manifests.sae_recipes import SavedArchitecture

TORCH_DTYPES = {"fp32": "torch.float32", "fp16": "torch.float16", "bf16": "torch.bfloat16"}
_EXAMPLE_PROMPT = "What is the capital of France?"


@dataclass(frozen=True)
class LoadingFacts:
    """The values that are written into the examples.

    `architectures` are those of cfg.json, `dtype` is an expression of torch; `text` is None where
    the SAEs belong to completions.
    """

    repo_id: str
    sae_id: str
    architectures: tuple[SavedArchitecture, ...]
    base_model_id: str
    base_model_revision: str | None
    precision: Precision
    dtype: Markdown
    pooling: Pooling
    text: PlainText | None
    prompt: str
    opening: str


def loading_facts(sources: Sources) -> LoadingFacts:
    """The facts; the example is the manifest's first SAE and its first scenario."""
    manifest = sources.loaded.manifest
    sampling = manifest.data.sampling
    scenario = sampling.scenarios[0] if sampling else None
    return LoadingFacts(
        repo_id=manifest.repo_id,
        sae_id=sources.loaded.saes[0].sae_id,
        architectures=tuple(sorted({spec.saved_architecture for spec in sources.loaded.saes})),
        base_model_id=manifest.base_model.id,
        base_model_revision=manifest.base_model.revision,
        precision=sources.training.base_model.precision,
        dtype=Markdown(TORCH_DTYPES[sources.training.base_model.precision.compute]),
        pooling=manifest.data.at_hand().pooling,
        text=manifest.data.text,
        prompt=scenario.prompt if scenario else _EXAMPLE_PROMPT,
        opening=scenario.opening if scenario else "",
    )
