"""The card's section on steering: what was written with a decoded direction added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from cards import numbers
from cards.escaping import Markdown
from cards.sections.metrics import not_measured
from cards.sections.table_cells import p_of, plain, sample_of, with_interval
from manifests.data import Label
from manifests.measure import Measure
from validators.report import Measurement, SteeringPoint, SteeringTable, Tables

# What a steered text is counted as where it holds no text at all.
EMPTY = "empty"


@dataclass(frozen=True)
class PointRow:
    """One strength: `rate` with its interval is of the `n_decided` with one of the two labels.

    `others` are the shares of all `n` completions, one for each label of `Steering.other_labels`.
    """

    alpha: Markdown
    n: Markdown
    n_decided: Markdown
    rate: Markdown
    others: tuple[Markdown, ...]


@dataclass(frozen=True)
class SteeredSae:
    """One SAE; `cosine` is that of its direction with the raw difference of the labels' means."""

    sae_id: str
    scale: Markdown
    cosine: Markdown
    cosine_n: Markdown
    trend: Markdown
    trend_n: Markdown
    trend_p: Markdown
    random_trend: Markdown
    random_p: Markdown
    rows: tuple[PointRow, ...]


@dataclass(frozen=True)
class Steering:
    """Every SAE that was steered with, in the report's order."""

    other_labels: tuple[str, ...]
    saes: tuple[SteeredSae, ...]


def steering(tables: Tables, measure: Measure) -> Steering | None:
    """The steering of a report; None where nothing was steered."""
    if not tables.steering:
        return None
    counted = {label for each in tables.steering for point in each.points for label in point.labels}
    decisive = {measure.positive, measure.negative}
    others = tuple(sorted(({*get_args(Label), EMPTY} | counted) - decisive))
    return Steering(
        other_labels=others, saes=tuple(_steered(each, others) for each in tables.steering)
    )


def _steered(table: SteeringTable, others: tuple[str, ...]) -> SteeredSae:
    return SteeredSae(
        sae_id=table.sae_id,
        scale=plain(table.scale, numbers.significant),
        cosine=plain(table.cosine_with_mean_difference, numbers.fraction),
        cosine_n=sample_of(table.cosine_with_mean_difference),
        trend=_trend(table.trend),
        trend_n=sample_of(table.trend),
        trend_p=p_of(table.trend),
        random_trend=_trend(table.random_trend),
        random_p=p_of(table.random_trend),
        rows=tuple(_row(point, others) for point in table.points),
    )


def _trend(found: Measurement) -> Markdown:
    return plain(found, lambda value: numbers.difference(value, numbers.fraction))


def _row(point: SteeringPoint, others: tuple[str, ...]) -> PointRow:
    return PointRow(
        alpha=numbers.setting(point.alpha),
        n=numbers.count(point.n),
        n_decided=numbers.count(point.positive_rate.n),
        rate=with_interval(point.positive_rate, numbers.share),
        others=tuple(_share(point.labels.get(label, 0), point.n) for label in others),
    )


def _share(count: int, n: int) -> Markdown:
    return numbers.share(count / n) if n else not_measured("no completions")
