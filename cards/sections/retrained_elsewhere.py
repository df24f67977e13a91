"""SAEs that were trained again at other precisions: trained at one, tested at every one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cards import numbers
from cards.escaping import Markdown, code_span
from cards.sections.metrics import Metric, one_of
from cards.sections.portability_numbers import Column, cell_of
from cards.sections.portability_sources import MADE_BY
from cards.sections.table_cells import DASH
from validators.report import Measurement, TrainedAt

EXPLAINED_VARIANCE = Column(
    "EV", Metric("explained_variance", "held_out", numbers.explained_variance)
)
JACCARD = Column("Jaccard", Metric("jaccard", "held_out", numbers.fraction))


@dataclass(frozen=True)
class TrainTestRow:
    """One SAE, or all of them, trained at one precision; a cell for each tested one."""

    subject: Markdown
    trained_at: str
    cells: tuple[Markdown, ...]


@dataclass(frozen=True)
class TrainTest:
    """The matrix; each cell has the explained variance and the Jaccard index."""

    tested_at: tuple[str, ...]
    rows: tuple[TrainTestRow, ...]
    is_summary: bool


def train_test(retrained: dict[str, tuple[TrainedAt, ...]], *, max_rows: int) -> TrainTest | None:
    """One row for each SAE and precision; beyond `max_rows` one for each precision alone.

    Returns:
        None where no SAE was trained again.

    Raises:
        MissingMetric: a cell lacks a number.
    """
    cells = [(sae_id, cell) for sae_id, found in retrained.items() for cell in found]
    if not cells:
        return None
    tested = tuple(dict.fromkeys(cell.tested_at for _, cell in cells))
    pairs = list(dict.fromkeys((sae_id, cell.trained_at) for sae_id, cell in cells))
    is_summary = len(pairs) > max_rows
    if is_summary:
        trained = list(dict.fromkeys(cell.trained_at for _, cell in cells))
        rows = [
            _row(Markdown("all"), at, tested, [pair for pair in cells if pair[1].trained_at == at])
            for at in trained
        ]
    else:
        rows = [
            _row(
                code_span(sae_id),
                at,
                tested,
                [pair for pair in cells if (pair[0], pair[1].trained_at) == (sae_id, at)],
            )
            for sae_id, at in pairs
        ]
    return TrainTest(tested, tuple(rows), is_summary)


def _row(
    subject: Markdown,
    trained_at: str,
    tested: Iterable[str],
    cells: list[tuple[str, TrainedAt]],
) -> TrainTestRow:
    return TrainTestRow(
        subject,
        trained_at,
        tuple(_cell([pair for pair in cells if pair[1].tested_at == label]) for label in tested),
    )


def _cell(cells: list[tuple[str, TrainedAt]]) -> Markdown:
    if not cells:
        return DASH
    explained = cell_of(EXPLAINED_VARIANCE, [_of(EXPLAINED_VARIANCE, *pair) for pair in cells])
    if all(cell.trained_at == cell.tested_at for _, cell in cells):
        return explained
    overlap = cell_of(JACCARD, [_of(JACCARD, *pair) for pair in cells])
    return Markdown(f"{explained}; {overlap}")


def _of(column: Column, sae_id: str, cell: TrainedAt) -> Measurement:
    return one_of(
        cell.metrics,
        column.metric,
        whose=f"the SAE {sae_id}, trained at {cell.trained_at} and tested at {cell.tested_at}",
        made_by=MADE_BY,
    )
