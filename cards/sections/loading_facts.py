"""What the loading examples of a card name: ids, hook, an example prompt."""

from __future__ import annotations

from dataclasses import dataclass

from cards.sources import Sources
from manifests.data import PlainText, Pooling
from manifests.model import WeightsSource
from manifests.sae_recipes import SavedArchitecture

_EXAMPLE_PROMPT = "What is the capital of France?"


@dataclass(frozen=True)
class LoadingFacts:
    """The values that are written into the examples.

    `architectures` are those of cfg.json; `text` is None where the SAEs belong to completions;
    `pooling` is None where nobody says how a completion became a vector; `weights` says where
    weights that were made elsewhere lie.
    """

    repo_id: str
    sae_id: str
    architectures: tuple[SavedArchitecture, ...]
    base_model_id: str
    base_model_revision: str | None
    auto_class: str
    pooling: Pooling | None
    text: PlainText | None
    prompt: str
    opening: str
    weights: WeightsSource | None


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
        auto_class=manifest.base_model.auto_class,
        pooling=manifest.data.pooling,
        text=manifest.data.text,
        prompt=scenario.prompt if scenario else _EXAMPLE_PROMPT,
        opening=scenario.opening if scenario else "",
        weights=manifest.weights,
    )
