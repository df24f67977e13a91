"""The card's section on the latents that tell the labels apart, and the completions behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cards import numbers
from cards.escaping import Markdown
from cards.sections.detection import metric_of
from cards.sections.discriminability import D_MAX
from cards.sections.table_cells import plain, with_interval
from manifests.matrix import SaeSpec
from validators.report import Example, Feature, Tables

SHOWN_PER_LAYER = 1
MAX_CHARACTERS = 200


@dataclass(frozen=True)
class ExampleFacts:
    """A completion on which a latent is large; `text` is empty where it is nothing but spaces."""

    label: str
    activation: Markdown
    text: str


@dataclass(frozen=True)
class FeatureFacts:
    """One latent; `examples` is empty where they are those of `same_examples_as`."""

    latent: int
    d: Markdown
    d_held_out: Markdown
    n_positive: Markdown
    n_negative: Markdown
    positive_rate: Markdown
    examples: tuple[ExampleFacts, ...]
    same_examples_as: tuple[int, ...]


@dataclass(frozen=True)
class SaeFeatures:
    """The listed latents of one SAE, and the vectors that d was taken over."""

    sae_id: str
    n_train: Markdown
    n_held_out: Markdown
    features: tuple[FeatureFacts, ...]


@dataclass(frozen=True)
class TopFeatures:
    """The SAEs whose latents are shown, and how many have theirs in the report only."""

    saes: tuple[SaeFeatures, ...]
    shown_per_layer: Markdown
    n_others: int
    max_characters: int


def top_features(tables: Tables, specs: tuple[SaeSpec, ...]) -> TopFeatures | None:
    """The latents of the SAE with the largest `d_max` of each layer; None where none were listed.

    Raises:
        MissingMetric: an SAE has no `d_max`.
    """
    listed = [spec for spec in specs if tables.saes[spec.sae_id].features]
    shown = set(_shown(tables, listed))
    if not shown:
        return None
    return TopFeatures(
        saes=tuple(_sae(tables, spec.sae_id) for spec in listed if spec.sae_id in shown),
        shown_per_layer=numbers.counted(SHOWN_PER_LAYER, "SAE"),
        n_others=len(listed) - len(shown),
        max_characters=MAX_CHARACTERS,
    )


def _shown(tables: Tables, listed: list[SaeSpec]) -> Iterator[str]:
    for layer in sorted({spec.layer for spec in listed}):
        measured = [
            (metric_of(tables, spec.sae_id, D_MAX).value, spec.sae_id)
            for spec in listed
            if spec.layer == layer
        ]
        known = [(value, sae_id) for value, sae_id in measured if value is not None]
        known.sort(key=lambda pair: (-pair[0], pair[1]))
        yield from (sae_id for _, sae_id in known[:SHOWN_PER_LAYER])


def _sae(tables: Tables, sae_id: str) -> SaeFeatures:
    features = tables.saes[sae_id].features
    first = features[0]
    facts: list[FeatureFacts] = []
    for feature in features:
        before = {fact.latent for fact in facts if fact.examples}
        facts.append(_feature(feature, first, before))
    return SaeFeatures(
        sae_id=sae_id,
        n_train=numbers.count(first.d.n),
        n_held_out=numbers.count(first.d_held_out.n),
        features=tuple(facts),
    )


def _feature(feature: Feature, first: Feature, before: set[int]) -> FeatureFacts:
    same = tuple(latent for latent in feature.same_examples_as if latent in before)
    return FeatureFacts(
        latent=feature.latent,
        d=_with_other_n(plain(feature.d, numbers.effect_size), feature.d.n, first.d.n),
        d_held_out=_with_other_n(
            plain(feature.d_held_out, numbers.effect_size),
            feature.d_held_out.n,
            first.d_held_out.n,
        ),
        n_positive=numbers.count(feature.active_positive),
        n_negative=numbers.count(feature.active_negative),
        positive_rate=with_interval(feature.positive_rate, numbers.share),
        examples=() if same else tuple(_example(example) for example in feature.examples),
        same_examples_as=same,
    )


def _with_other_n(text: Markdown, n: int, n_stated: int) -> Markdown:
    return text if n == n_stated else Markdown(f"{text} (n = {numbers.count(n)})")


def _example(example: Example) -> ExampleFacts:
    line = " ".join(example.text.split())
    is_cut = len(line) > MAX_CHARACTERS
    return ExampleFacts(
        label=example.label,
        activation=numbers.significant(example.activation),
        text=f"{line[:MAX_CHARACTERS].rstrip()}…" if is_cut else line,
    )
