"""The card's section on data and labels: what the SAEs were trained on, how much, how split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cards import numbers
from cards.escaping import Markdown
from cards.sources import Sources
from manifests.data import PlainText, Pooling, Scenario
from manifests.facts import NamedScenario


@dataclass(frozen=True)
class ConditionFacts:
    """One training condition: its labels, its vectors by split, its SAEs.

    `n_train` and `n_held_out` are None where nothing was counted; `n_reported` is the number of
    completions that the manifest states, None where it states none.
    """

    name: str
    labels: tuple[str, ...]
    n_train: int | None
    n_held_out: int | None
    n_reported: int | None
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
    """The data and its labels; the three texts are the manifest's, None what it does not know.

    `name` is the file's path, or the data set on the Hub; `text` says how plain text is read, and
    is None where the data is completions. `is_at_hand`: everything is
    known that reading it takes. `is_counted`: every condition's vectors were counted.
    """

    name: str | None
    is_on_the_hub: bool
    sha256: str | None
    description: str
    label_rule: str | None
    label_precision: str
    text: PlainText | None
    units: Literal["completions", "documents"]
    vector_of: Literal["completion", "token"]
    pooling: Pooling | None
    held_out_share: Markdown | None
    held_out_seed: int | None
    is_at_hand: bool
    is_counted: bool
    conditions: tuple[ConditionFacts, ...]
    temperature: Markdown | None
    sampling: SamplingFacts | None
    named_scenarios: tuple[NamedScenario, ...]


def data_facts(sources: Sources) -> DataFacts:
    """The facts; conditions in alphabetical order."""
    data, specs = sources.loaded.manifest.data, sources.loaded.saes
    conditions = tuple(
        _condition(sources, name) for name in sorted({spec.condition for spec in specs})
    )
    name = data.dataset.name if data.file is None and data.dataset else data.file
    return DataFacts(
        name=name,
        is_on_the_hub=data.file is None,
        sha256=data.sha256,
        description=data.description,
        label_rule=data.label_rule,
        label_precision=data.label_precision or _label_precision_unknown(sources),
        text=data.text,
        units="documents" if data.text else "completions",
        vector_of="token" if data.text or data.pooling == "every_token" else "completion",
        pooling=data.pooling,
        held_out_share=None if data.held_out is None else numbers.share(data.held_out.fraction),
        held_out_seed=None if data.held_out is None else data.held_out.seed,
        is_at_hand=None not in (name, data.sha256, data.pooling, data.held_out),
        is_counted=all(each.n_train is not None for each in conditions),
        conditions=conditions,
        temperature=None if data.temperature is None else numbers.setting(data.temperature),
        sampling=_sampling_facts(sources),
        named_scenarios=data.scenarios,
    )


def _label_precision_unknown(sources: Sources) -> str:
    # Of labels that were made elsewhere, only silence is known.
    if sources.training is None:
        return "No source says that anybody read a sample of the labels by hand."
    return "Nobody read a sample of the labels by hand."


def _condition(sources: Sources, name: str) -> ConditionFacts:
    stated = sources.loaded.manifest.data.conditions[name]
    counted = sources.n_vectors(name)
    return ConditionFacts(
        name=name,
        labels=stated.labels,
        n_train=None if counted is None else counted["train"],
        n_held_out=None if counted is None else counted["held_out"],
        n_reported=stated.n,
        n_saes=sum(spec.condition == name for spec in sources.loaded.saes),
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
