"""The numbers that the page's own plots show; the same that stand in its table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from release.report_page.cells import Cell
from release.report_page.rows import NOT_STATED, SaeRow, SaeTable
from validators.presenting.printable import name_of

# The map, the layer and the architecture of a cell.
_Place = tuple[str, int, str]


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
        "saes": [dict(_of_row(row, group)) for row, group in zip(rows, _groups(rows), strict=True)],
    }


def _groups(rows: list[SaeRow]) -> list[str]:
    """The map that each SAE is in: no two of one map share a layer and an architecture.

    Maps are of a condition and a variant. Where that leaves SAEs in one place, they are parted by
    their widths, then by where in the block they read, and at last by number.
    """
    names = [_condition(row) for row in rows]
    for part in (_width, _site):
        parts: dict[_Place, set[str]] = {}
        for row, name in zip(rows, names, strict=True):
            parts.setdefault(_place(row, name), set()).add(part(row))
        crowded = {place[0] for place, found in parts.items() if len(found) > 1}
        names = [
            name_of(f"{name}, {part(row)}") if name in crowded else name
            for row, name in zip(rows, names, strict=True)
        ]
    taken: set[_Place] = set()
    counts: Counter[_Place] = Counter()
    numbered = []
    for row, name in zip(rows, names, strict=True):
        unique = name
        while _place(row, unique) in taken:
            counts[_place(row, name)] += 1
            unique = f"{name} ({counts[_place(row, name)] + 1})"
        taken.add(_place(row, unique))
        numbered.append(unique)
    return numbered


def _place(row: SaeRow, group: str) -> _Place:
    assert row.layer is not None
    return group, row.layer, name_of(row.architecture)


def _condition(row: SaeRow) -> str:
    condition = "condition not stated" if row.condition == NOT_STATED else row.condition
    return name_of(f"{condition}, {row.variant}" if row.variant else condition)


def _width(row: SaeRow) -> str:
    return "d_sae not stated" if row.d_sae is None else f"d_sae {row.d_sae:,}"


def _site(row: SaeRow) -> str:
    """The hook without its layer's number."""
    return re.sub(rf"(?<![0-9]){row.layer}(?![0-9])", "*", row.hook_name, count=1) or "no hook"


def _cell(row: SaeRow, quantity: _Quantity) -> Cell:
    cell = getattr(row, quantity.field)
    assert isinstance(cell, Cell)
    return cell


def _of_row(row: SaeRow, group: str) -> Iterator[tuple[str, object]]:
    yield "id", name_of(row.sae_id)
    yield "anchor", row.anchor
    yield "architecture", name_of(row.architecture)
    yield "layer", row.layer
    yield "group", group
    yield "state", row.state
    for quantity in _QUANTITIES:
        cell = _cell(row, quantity)
        yield quantity.name, cell.value
        yield f"{quantity.name}_text", cell.text
