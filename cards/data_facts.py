"""The card's section on data and labels: what the SAEs were trained on, how much, how split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cards import numbers
from cards.escaping import Markdown
from cards.sources import Sources
from manifests.data import PlainText, Pooling, Scenario


@dataclass(frozen=True)
class ConditionFacts:
    """One training condition: its labels, its vectors by split, its SAEs."""

    name: str
    labels: tuple[str, ...]
    n_train: int
    n_held_out: int
    n_saes: int


@dataclass(frozen=True)
class SamplingFacts:
    """How the completions were sampled."""

    per_scenario: int
    temperature: Markdown
    max_new_tokens: int
    seed: int
    opening_characters: int
    min_per_label: int
    scenarios: tuple[Scenario, ...]


@dataclass(frozen=True)
class DataFacts:
    """The data and its labels; the three texts are the manifest's.

    `name` is the file's path, or the data set on the Hub; `text` says how plain text is read, and
    is None where the data is completions.
    """

    name: str
    is_on_the_hub: bool
    sha256: str
    description: str
    label_rule: str | None
    label_precision: str
    text: PlainText | None
    units: Literal["completions", "documents"]
    vector_of: Literal["completion", "token"]
    pooling: Pooling
    held_out_share: Markdown
    held_out_seed: int
    conditions: tuple[ConditionFacts, ...]
    sampling: SamplingFacts | None


def data_facts(sources: Sources) -> DataFacts:
    """The facts; conditions in alphabetical order."""
    data, specs = sources.loaded.manifest.data, sources.loaded.saes
    at_hand = data.at_hand()
    conditions = sorted({spec.condition for spec in specs})
    return DataFacts(
        name=at_hand.file,
        is_on_the_hub=data.file is None,
        sha256=at_hand.sha256,
        description=data.description,
        label_rule=data.label_rule,
        label_precision=data.label_precision or "Nobody read a sample of the labels by hand.",
        text=data.text,
        units="documents" if data.text else "completions",
        vector_of="token" if at_hand.pooling == "every_token" else "completion",
        pooling=at_hand.pooling,
        held_out_share=numbers.share(at_hand.held_out.fraction),
        held_out_seed=at_hand.held_out.seed,
        conditions=tuple(
            ConditionFacts(
                name=name,
                labels=data.conditions[name].labels,
                n_train=sources.measurements.n_vectors[name]["train"],
                n_held_out=sources.measurements.n_vectors[name]["held_out"],
                n_saes=sum(spec.condition == name for spec in specs),
            )
            for name in conditions
        ),
        sampling=_sampling_facts(sources),
    )


def _sampling_facts(sources: Sources) -> SamplingFacts | None:
    sampling = sources.loaded.manifest.data.sampling
    if sampling is None:
        return None
    return SamplingFacts(
        per_scenario=sampling.per_scenario,
        temperature=numbers.setting(sampling.temperature),
        max_new_tokens=sampling.max_new_tokens,
        seed=sampling.seed,
        opening_characters=sampling.opening_characters,
        min_per_label=sampling.min_per_label,
        scenarios=sampling.scenarios,
    )
