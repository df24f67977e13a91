"""Columns of percentages: a part of two counts, and the change from the row that has none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from validators.readme.amounts import Amount, amount_of, leading_amount
from validators.readme.card_tables import Table, tables
from validators.readme.card_text import CardText
from validators.readme.findings import Finding
from validators.readme.quantities import shown

_RELATIVE = re.compile(r"\brelative (?:change|difference|loss|gain|drop)\b", re.IGNORECASE)
_NONE = ("-", "\u2013", "\u2014", "")
_MOST_COLUMNS = 12
_MOST_ROWS = 200
# Relations of fewer rows come about by chance.
_FEWEST = 3

Cells = Sequence[Amount | None]


def lint_table_shares(card: CardText) -> Iterator[Finding]:
    """Cells that break what the other rows of their columns keep."""
    for table in tables(card):
        if len(table.header) <= _MOST_COLUMNS and 1 < len(table.rows) <= _MOST_ROWS:
            columns = [_numbers(table, at) for at in range(len(table.header))]
            for at in range(1, len(table.header)):
                shares = [leading_amount(cell) for cell in table.column(at)]
                yield from _of_two(table, columns, shares)
                if _RELATIVE.search(table.header[at]):
                    yield from _relative(table, columns, at)


def _numbers(table: Table, at: int) -> Cells:
    return [amount_of(cell) for cell in table.column(at)]


def _of_two(table: Table, columns: list[Cells], shares: Cells) -> Iterator[Finding]:
    """`a`, `b` and `a / (a + b)`."""
    if sum(share is not None and share.unit == "%" for share in shares) <= _FEWEST:
        return
    counts = [at for at, cells in enumerate(columns) if all(_is_count(cell) for cell in cells)]
    found: list[Finding] = []
    for first in counts:
        for second in (at for at in counts if at != first):
            broken = []
            for row, share in enumerate(shares):
                a, b = columns[first][row], columns[second][row]
                if not a or not b or not share or share.unit != "%" or not a.value + b.value:
                    continue
                exact = 100 * a.value / (a.value + b.value)
                if not share.may_be(exact):
                    what = f"{a.text} of {a.text} + {b.text} are {shown(exact)}%, and {share.text}"
                    line = table.rows[row].line
                    broken.append(Finding(line, f"{what} is printed", "warn", share.text))
            if not broken:
                return
            found = broken if len(broken) == 1 else found
    yield from found


def _is_count(cell: Amount | None) -> bool:
    return cell is not None and not cell.unit and not cell.decimals and cell.value >= 0


def _relative(table: Table, columns: list[Cells], at: int) -> Iterator[Finding]:
    """In percent of the one row that has no change."""
    bases = [r for r, c in enumerate(table.column(at)) if c.strip("`* ") in _NONE]
    if len(bases) != 1:
        return
    for other, cells in enumerate(columns):
        base = cells[bases[0]]
        if other == at or base is None or base.low <= 0:
            continue
        holds, broken = 0, []
        for row, (value, change) in enumerate(zip(cells, columns[at], strict=True)):
            if value is None or change is None or change.unit != "%":
                continue
            low, high = (
                100 * (v - b) / b for v, b in ((value.low, base.high), (value.high, base.low))
            )
            if change.may_be(low, high):
                holds += 1
                continue
            exact = shown(Decimal(100) * (value.value - base.value) / base.value, 1)
            what = f"{change.text}, and {base.text} to {value.text} is {exact}%"
            broken.append(Finding(table.rows[row].line, what, "warn", change.text))
        if holds and len(broken) <= holds:
            yield from broken
