"""The metrics of report.json that a card prints: their names, their split, how they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from cards import numbers
from cards.escaping import Markdown, markdown_text
from manifests.errors import ReleaseError
from validators.metrics.conventions import PCA_RANK
from validators.report import Measurement, Report


class MissingMetric(ReleaseError):
    """The report lacks a number that the card prints, or has it from another split."""


@dataclass(frozen=True)
class Metric:
    """A name in `report.json`; `split` is the split it must come from, None where it has none."""

    name: str
    split: Literal["held_out", "train"] | None
    written: Callable[[float], Markdown]


EXPLAINED_VARIANCE = Metric("explained_variance", "held_out", numbers.explained_variance)
EXPLAINED_VARIANCE_TRAIN = Metric("explained_variance_train", "train", numbers.explained_variance)
PCA_EXPLAINED_VARIANCE = Metric(
    f"pca_{PCA_RANK}_explained_variance", "held_out", numbers.explained_variance
)
L0 = Metric("l0", "held_out", numbers.mean_count)
MSE = Metric("mse", "held_out", numbers.significant)
DEAD_FRACTION = Metric("dead_fraction", "held_out", numbers.share)
DEAD_FRACTION_TRAIN = Metric("dead_fraction_train", "train", numbers.share)
PATH_DIFFERENCE = Metric("path_difference", None, numbers.relative_difference)
THRESHOLD_MOVED = Metric("threshold_moved_fraction", None, numbers.share)

# Of the intervals in a report (validators.report.Measurement).
CONFIDENCE = Markdown("95%")

MAIN_TABLE = (
    EXPLAINED_VARIANCE,
    PCA_EXPLAINED_VARIANCE,
    EXPLAINED_VARIANCE_TRAIN,
    L0,
    MSE,
    DEAD_FRACTION,
    DEAD_FRACTION_TRAIN,
    PATH_DIFFERENCE,
)


def measurement(report: Report | None, sae_id: str, metric: Metric) -> Measurement:
    """One measurement of one SAE.

    Raises:
        MissingMetric: the report has no such SAE or metric, or the metric comes from another split.
    """
    measured = None if report is None else report.measurements
    saes = {} if measured is None else measured.saes
    return one_of(saes.get(sae_id, {}), metric, whose=f"the SAE {sae_id}")


def one_of(
    metrics: Mapping[str, Measurement],
    metric: Metric,
    *,
    whose: str,
    made_by: str = "release validate MANIFEST",
) -> Measurement:
    """One measurement among those of an SAE, a layer or a pair.

    Args:
        metrics: all of them by name.
        metric: the one to print.
        whose: what it was measured of, for the error.
        made_by: the command that measures it, for the error.

    Raises:
        MissingMetric: it is not there, or comes from another split.
    """
    found = metrics.get(metric.name)
    if found is None:
        raise MissingMetric(
            f"the metric {metric.name} of {whose} is missing",
            where="report.json",
            expected="a value, or null with the reason why it could not be measured",
            next_step=made_by,
        )
    if metric.split is not None and found.split not in (None, metric.split):
        raise MissingMetric(
            f"the metric {metric.name} of {whose} comes from the split {found.split}",
            where="report.json",
            expected=f"the split {metric.split}",
            next_step=made_by,
        )
    return found


def written(metric: Metric, found: Measurement, *, n_stated: int | None = None) -> Markdown:
    """A measurement as the card prints it, with its interval where it has one.

    Args:
        metric: how its value is written.
        found: the measurement.
        n_stated: the number of vectors that the table states for it already; a measurement that
            rests on another number says so itself.
    """
    if found.value is None:
        return not_measured(found.reason or "")
    text = metric.written(found.value)
    beside: list[str] = []
    if found.low is not None and found.high is not None:
        beside.append(numbers.interval(found.low, found.high, metric.written))
    if n_stated is not None and found.n != n_stated:
        beside.append(f"n = {numbers.count(found.n)}")
    return Markdown(f"{text} ({'; '.join(beside)})") if beside else text


def optional_cell(
    metrics: Mapping[str, Measurement], metric: Metric, *, whose: str, n_stated: int | None
) -> Markdown | None:
    """A metric that need not be there, as the card prints it; None where nobody asked for it.

    Raises:
        MissingMetric: it comes from another split.
    """
    if metric.name not in metrics:
        return None
    return written(metric, one_of(metrics, metric, whose=whose), n_stated=n_stated)


def not_measured(reason: str) -> Markdown:
    """What stands in the place of a number that there is none of."""
    return Markdown(f"not measured ({markdown_text(reason)})")
