"""Tables of names and numbers that stay readable where there is no room for a table.

A cell is never broken: an id in two lines can be neither read nor copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

_GAP = "  "


@dataclass(frozen=True)
class TextTable:
    """A header and rows of as many cells; the first cell names its row."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self, width: int) -> str:
        """The table's lines: columns where they fit into a width, else some lines for each row."""
        sizes = [
            max(cell_len(row[place]) for row in (self.header, *self.rows))
            for place in range(len(self.header))
        ]
        if sum(sizes) + len(_GAP) * (len(sizes) - 1) <= width:
            return "\n".join(_columns(row, sizes) for row in (self.header, *self.rows))
        return "\n".join(line for row in self.rows for line in _record(self.header, row, width))


def _columns(row: Sequence[str], sizes: Sequence[int]) -> str:
    padded = (cell + " " * (size - cell_len(cell)) for cell, size in zip(row, sizes, strict=True))
    return _GAP.join(padded).rstrip()


def _record(header: Sequence[str], row: Sequence[str], width: int) -> list[str]:
    """The row's name, and under it `heading: cell` as often as fits on a line."""
    lines = [row[0]]
    line = ""
    for heading, cell in zip(header[1:], row[1:], strict=True):
        if not cell:
            continue
        piece = f"{heading}: {cell}"
        if line and cell_len(f"{line}, {piece}") > width:
            lines.append(line)
            line = ""
        line = f"{line}, {piece}" if line else f"{_GAP}{piece}"
    return [*lines, line] if line else lines
