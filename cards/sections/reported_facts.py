"""Numbers that were read elsewhere, each marked so: what, where, on what, and of which date."""

from __future__ import annotations

from dataclasses import dataclass

from cards import numbers
from cards.escaping import Markdown, code_span
from cards.sources import Sources
from manifests.facts import Reported, ReportedMetric

# By area, its metrics with the field's words. Plain accuracies come before balanced ones, so that
# nobody reads a column down from the one into the other.
AREAS: dict[str, dict[ReportedMetric, str]] = {
    "Probes": {
        "accuracy": "accuracy",
        "unspecified_accuracy": "accuracy, balanced or not",
        "balanced_accuracy": "balanced accuracy",
        "balanced_accuracy_difference": "difference of balanced accuracies",
        "auroc": "AUROC",
        "saes_beating_raw_baseline": "SAEs above raw activations",
        "conditions_in_which_ste_beats_topk": "conditions with STE above TopK",
        "p_value": "p",
    },
    "Reconstruction and sparsity": {
        "explained_variance": "explained variance",
        "l0": "L0",
        "mse": "MSE",
        "alive_latents": "latents that fired",
    },
    "Discriminability of single latents": {
        "cohens_d_max": "largest absolute Cohen's d",
        "cohens_d": "Cohen's d",
        "latents_with_d_above_1": "latents with an absolute d above one",
    },
    "Other seeds": {"top_latent_overlap": "top latents found again"},
    "Steering": {"honest_rate": "share labelled honest", "cosine": "cosine"},
    "Data and training": {
        "n_completions": "completions",
        "agreement": "agreement of labels",
        "training_seconds": "training time",
    },
}


@dataclass(frozen=True)
class ReportedRow:
    """One number; `value` has the spread of its source, `n` and `split` what it rests on."""

    name: str
    value: Markdown
    n: Markdown
    split: str
    layer: Markdown
    sae: Markdown
    date: str
    source: str


@dataclass(frozen=True)
class ReportedTable:
    """All numbers of one metric; columns that no row fills are left out."""

    metric: str
    rows: tuple[ReportedRow, ...]
    has_layer: bool
    has_sae: bool
    has_date: bool


@dataclass(frozen=True)
class ReportedArea:
    """The metrics of one kind."""

    title: str
    tables: tuple[ReportedTable, ...]


def reported_facts(sources: Sources) -> tuple[ReportedArea, ...]:
    """All reported numbers, by area and metric, in the manifest's order within a metric."""
    facts = sources.loaded.manifest.reported
    areas = []
    for title, metrics in AREAS.items():
        tables = tuple(
            _table(label, found)
            for metric, label in metrics.items()
            if (found := [fact for fact in facts if fact.metric == metric])
        )
        if tables:
            areas.append(ReportedArea(title, tables))
    return tuple(areas)


def _table(label: str, facts: list[Reported]) -> ReportedTable:
    return ReportedTable(
        metric=label,
        rows=tuple(_row(fact, _decimals(facts)) for fact in facts),
        has_layer=any(fact.layer is not None for fact in facts),
        has_sae=any(fact.sae_id is not None for fact in facts),
        has_date=any(fact.date is not None for fact in facts),
    )


def _decimals(facts: list[Reported]) -> int:
    """Of the values without a unit, so that they stand in a column with the same digits."""
    return max(
        (len(numbers.setting(f.value).partition(".")[2]) for f in facts if not f.unit), default=0
    )


def _row(fact: Reported, decimals: int) -> ReportedRow:
    return ReportedRow(
        name=fact.name,
        value=reported_value(fact, decimals),
        n=Markdown("not reported") if fact.n is None else numbers.count(fact.n),
        split=fact.split or "not reported",
        layer=Markdown("-") if fact.layer is None else Markdown(str(fact.layer)),
        sae=Markdown("-") if fact.sae_id is None else code_span(fact.sae_id),
        date=fact.date.isoformat() if fact.date else "not reported",
        source=fact.source,
    )


def reported_value(fact: Reported, decimals: int = 0) -> Markdown:
    """The number as its source has it: `about 69%`, `below 0.001`, `14 of 30`, `0.475 ± 0.215`.

    A value without a unit gets closing zeros up to `decimals`, unless it is about or bounds.
    """
    unit = {"": "", "%": "%", "s": " s", "count": "", "percentage points": " points"}[fact.unit]
    is_exact = not (fact.unit or fact.approximate or fact.bound)
    value = _written(fact.value, decimals if is_exact else 0)
    text = f"{value}{unit}"
    if fact.plus_minus is not None:
        text = f"{text} ± {_written(fact.plus_minus, decimals if is_exact else 0)}{unit}"
    if fact.out_of is not None:
        text = f"{text} of {numbers.count(fact.out_of)}"
    if fact.bound is not None:
        text = f"{fact.bound} {text}"
    return Markdown(f"about {text}" if fact.approximate else text)


def _written(value: float, decimals: int) -> str:
    shortest = numbers.count(int(value)) if value == int(value) else numbers.setting(value)
    return shortest if len(shortest.partition(".")[2]) >= decimals else f"{value:,.{decimals}f}"
