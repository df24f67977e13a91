"""Cells of a table: a number as the field writes it, or that it was not measured, and why.

No number stands for a missing one. Reasons are numbered, and told once beneath the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cards import numbers
from cards.escaping import Markdown
from cards.sections import (
    detection,
    discriminability,
    loss_facts,
    metrics,
    sparsity_facts,
    stability,
)
from cards.sections.metrics import Metric
from validators.report import Measurement

NOT_MEASURED = "not measured"
_Form = Callable[[float], Markdown]
# The cards' own forms, so that a number looks the same here and there.
_FORMS: dict[str, _Form] = {
    found.name: found.written
    for section in (metrics, sparsity_facts, loss_facts, detection, discriminability, stability)
    for found in vars(section).values()
    if isinstance(found, Metric)
}


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what it shows.
        value: what it sorts by; None sorts last, whichever way.
        beside: what stands beneath it, such as the interval; no part is broken into lines.
        note: the number of the reason why there is no value; 0: there is one.
    """

    text: str
    value: float | None = None
    beside: tuple[str, ...] = ()
    note: int = 0

    @property
    def is_missing(self) -> bool:
        """Whether it says that there is no number."""
        return self.note > 0


@dataclass
class Reasons:
    """Why numbers are missing, each reason once, numbered from 1 in the order of appearance."""

    texts: list[str] = field(default_factory=list)

    def missing(self, reason: str) -> Cell:
        """A cell without a number."""
        if reason not in self.texts:
            self.texts.append(reason)
        return Cell(NOT_MEASURED, note=self.texts.index(reason) + 1)


def form_of(name: str) -> _Form:
    """How a metric's value is written; three significant digits where nothing else is agreed."""
    return _FORMS.get(name) or _FORMS.get(name.removesuffix("_train"), numbers.significant)


def written(name: str, value: float) -> str:
    """A value of a metric."""
    return str(form_of(name)(value))


def interval_of(name: str, found: Measurement) -> str:
    """The two ends of a measurement's interval; empty without one."""
    if found.low is None or found.high is None:
        return ""
    return str(numbers.interval(found.low, found.high, form_of(name)))


def metric_cell(
    measured: Mapping[str, Measurement] | None, name: str, *, absent: str, reasons: Reasons
) -> Cell:
    """A metric with its interval.

    Args:
        measured: all that were measured of an SAE; None: nothing was.
        name: the metric.
        absent: why nothing was measured, where nothing was.
        reasons: where a missing number's reason is kept.
    """
    if measured is None:
        return reasons.missing(absent)
    found = measured.get(name)
    if found is None:
        return reasons.missing(f"the report has no {name}")
    if found.value is None:
        return reasons.missing(found.reason or "no reason is given")
    interval = interval_of(name, found)
    return Cell(written(name, found.value), found.value, (interval,) if interval else ())
