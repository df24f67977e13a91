"""The card's numbers at each precision: one row for one SAE, or for all of one kind and layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cards import numbers
from cards.escaping import Markdown
from cards.sections.loss_facts import CE_INCREASE, CE_RECOVERED, KL
from cards.sections.metrics import Metric, one_of
from cards.sections.portability_sources import MADE_BY
from cards.sections.table_cells import DASH, plain, with_interval
from validators.report import Measurement, Shift

Cell = Callable[[Measurement, Callable[[float], Markdown]], Markdown]


def _signed_share(value: float) -> Markdown:
    return numbers.difference(value, numbers.share)


@dataclass(frozen=True)
class Column:
    """A column; `compares` with the SAE's own precision, and so says nothing of that itself."""

    heading: str
    metric: Metric
    cell: Cell = plain
    compares: bool = False


RECONSTRUCTION = (
    Column("residual", Metric("residual_error_about_mean", "held_out", numbers.share), plain, True),
    Column("EV", Metric("explained_variance", "held_out", numbers.explained_variance)),
    Column(
        "EV drop",
        Metric("explained_variance_drop", "held_out", numbers.share),
        with_interval,
        True,
    ),
    Column("L0", Metric("l0", "held_out", numbers.mean_count)),
    Column("alive", Metric("alive_shift", "held_out", _signed_share), plain, True),
    Column("Jaccard", Metric("jaccard", "held_out", numbers.fraction), with_interval, True),
    Column("found again", Metric("found_again", "held_out", numbers.share), plain, True),
    Column("identical", Metric("identical_share", "held_out", numbers.share), plain, True),
    Column("r", Metric("latent_correlation", "held_out", numbers.fraction), plain, True),
)
LABELS = (
    Column("d max", Metric("d_max", "held_out", numbers.effect_size)),
    Column("d, same latent", Metric("d_of_own_best", "held_out", numbers.effect_size)),
    Column("probe, own", Metric("probe_own", "held_out", numbers.fraction)),
    Column("probe", Metric("probe_transferred", "held_out", numbers.fraction)),
)
LOSSES = (
    Column("CE recovered", CE_RECOVERED),
    Column("CE increase", CE_INCREASE),
    Column("KL", KL),
)


@dataclass(frozen=True)
class Subject:
    """An SAE at a precision, or several: what stands in front of the row, and their numbers."""

    name: Markdown
    precision: str
    is_own: bool
    sae_ids: tuple[str, ...]
    shifts: tuple[Shift, ...]


@dataclass(frozen=True)
class PortabilityRow:
    """One line of a table; `n` is that of its first column, a range over several SAEs."""

    subject: Markdown
    precision: str
    n: Markdown
    cells: tuple[Markdown, ...]


@dataclass(frozen=True)
class PortabilityTable:
    """Rows under their headings; where no SAE has any of the numbers, the reasons and no rows."""

    headings: tuple[str, ...]
    rows: tuple[PortabilityRow, ...]
    reasons: tuple[str, ...]


def table_of(columns: Sequence[Column], subjects: Sequence[Subject]) -> PortabilityTable | None:
    """The rows for everything that was run; None where the report has none of these metrics.

    Columns that no SAE has a value in are left out with their reasons.

    Raises:
        MissingMetric: an SAE lacks a number that another one has, or has it of another split.
    """
    ran = [each for subject in subjects if (each := _ran(subject)) is not None]
    asked = [
        column
        for column in columns
        if any(column.metric.name in shift.metrics for each in ran for shift in each.shifts)
    ]
    if not asked:
        return None
    found = {column: [_found(column, each) for each in ran] for column in asked}
    told = [
        column for column in asked if any(m.value is not None for row in found[column] for m in row)
    ]
    reasons = [
        m.reason for column in asked if column not in told for row in found[column] for m in row
    ]
    return PortabilityTable(
        headings=tuple(column.heading for column in told),
        rows=tuple(_row(each, told) for each in ran) if told else (),
        reasons=tuple(dict.fromkeys(reason for reason in reasons if reason)),
    )


def required(columns: Sequence[Column], subjects: Sequence[Subject]) -> PortabilityTable:
    """The same for numbers that every SAE must have at every precision that was run.

    Raises:
        MissingMetric: as `table_of`; also where none has one of them.
    """
    for subject in subjects:
        if (ran := _ran(subject)) is not None:
            for column in columns:
                _found(column, ran)
    return table_of(columns, subjects) or PortabilityTable((), (), ("nothing was run",))


def cell_of(column: Column, found: Sequence[Measurement]) -> Markdown:
    """One number as its column has it; of several, `lowest-highest` and how many are missing."""
    if len(found) == 1:
        return column.cell(found[0], column.metric.written)
    known = [each.value for each in found if each.value is not None]
    if not known:
        return plain(found[0], column.metric.written)
    low, high = column.metric.written(min(known)), column.metric.written(max(known))
    text = low if low == high else numbers.interval(min(known), max(known), column.metric.written)
    n_missing = len(found) - len(known)
    return text if not n_missing else Markdown(f"{text}; {n_missing} of {len(found)} not measured")


def _ran(subject: Subject) -> Subject | None:
    """The part of a row's SAEs that something was measured of; None where there is none."""
    pairs = zip(subject.sae_ids, subject.shifts, strict=True)
    kept = [(sae_id, shift) for sae_id, shift in pairs if shift.metrics]
    if not kept:
        return None
    sae_ids, shifts = zip(*kept, strict=True)
    return Subject(subject.name, subject.precision, subject.is_own, sae_ids, shifts)


def _found(column: Column, subject: Subject) -> list[Measurement]:
    return [
        one_of(
            shift.metrics,
            column.metric,
            whose=f"the SAE {sae_id} at {subject.precision}",
            made_by=MADE_BY,
        )
        for sae_id, shift in zip(subject.sae_ids, subject.shifts, strict=True)
    ]


def _row(subject: Subject, columns: Sequence[Column]) -> PortabilityRow:
    counts = sorted({each.n for each in _found(columns[0], subject)})
    first, last = numbers.count(counts[0]), numbers.count(counts[-1])
    return PortabilityRow(
        subject=subject.name,
        precision=subject.precision,
        n=first if first == last else Markdown(f"{first}-{last}"),
        cells=tuple(
            DASH if subject.is_own and column.compares else cell_of(column, _found(column, subject))
            for column in columns
        ),
    )
