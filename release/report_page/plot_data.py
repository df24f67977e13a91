"""The numbers that the page's own plots show; the same that stand in its table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from release.report_page.cells import Cell
from release.report_page.rows import SaeRow, SaeTable
from validators.presenting.printable import name_of


@dataclass(frozen=True)
class _Quantity:
    """A number that the plots can show, under its name in docs/terms.md."""

    name: str
    label: str
    field: str


_QUANTITIES = (
    _Quantity("explained_variance", "Explained variance", "explained_variance"),
    _Quantity("l0", "L0, latents per vector", "l0"),
    _Quantity("dead_fraction", "Dead latents, share", "dead"),
    _Quantity("probe_balanced_accuracy", "Probe, balanced accuracy", "probe"),
    _Quantity("path_difference", "SAELens-manual difference", "difference"),
)


def plot_data(table: SaeTable) -> dict[str, object]:
    """What the scripts of the page read; JSON values, every text printable.

    SAEs without a layer have no place in the map, and are left out of it.
    """
    rows = [row for row in table.rows if row.layer is not None]
    return {
        "quantities": [
            {"name": quantity.name, "label": quantity.label}
            for quantity in _QUANTITIES
            if any(_cell(row, quantity).value is not None for row in rows)
        ],
        "saes": [dict(_of_row(row)) for row in rows],
    }


def _cell(row: SaeRow, quantity: _Quantity) -> Cell:
    cell = getattr(row, quantity.field)
    assert isinstance(cell, Cell)
    return cell


def _of_row(row: SaeRow) -> Iterator[tuple[str, object]]:
    group = f"{row.condition}, {row.variant}" if row.variant else row.condition
    yield "id", name_of(row.sae_id)
    yield "anchor", row.anchor
    yield "architecture", row.architecture
    yield "layer", row.layer
    yield "group", name_of(group)
    yield "state", row.state
    for quantity in _QUANTITIES:
        cell = _cell(row, quantity)
        yield quantity.name, cell.value
        yield f"{quantity.name}_text", cell.text
