"""Rows that sum up the rows above them, and tables that give the same numbers in another unit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import combinations

from validators.readme.amounts import Amount, amount_of
from validators.readme.card_tables import Table, tables
from validators.readme.card_text import CardText
from validators.readme.findings import Finding
from validators.readme.quantities import shown

_MEAN = re.compile(r"(?:mean|average|avg\.?)$", re.IGNORECASE)
_SUM = re.compile(r"(?:sum|total|all|together)$", re.IGNORECASE)
_COUNT_OF = re.compile(r"(\d{1,9}) of (\d{1,9})")
_IN_TOTAL = re.compile(r"\b[Ii]n total,? (\d{1,9}) of (?:the )?(\d{1,9})\b")
# A total is near its sum; what is far from it was never meant as one.
_NEAR = Decimal("0.3")
_MOST_ROWS = 200
_DIGITS = 3


def lint_table_totals(card: CardText) -> Iterator[Finding]:
    """Sums, means, and the same cells in two tables."""
    read = [table for table in tables(card) if 0 < len(table.rows) <= _MOST_ROWS]
    for table in read:
        label = table.rows[-1].cells[0].strip("`* ")
        if len(table.rows) > 2 and _MEAN.fullmatch(label):
            yield from _means(table)
        elif len(table.rows) > 2 and _SUM.fullmatch(label):
            yield from _sums(table)
    yield from _counts(card, read)
    for first, second in combinations(read[:40], 2):
        yield from _same(first, second)


def _columns(table: Table) -> Iterator[tuple[str, list[Amount], Amount]]:
    """Name, values and the last row's of each column that is all numbers."""
    for at in range(1, len(table.header)):
        cells = [amount_of(cell) for cell in table.column(at)]
        values = [cell for cell in cells[:-1] if cell is not None]
        if cells[-1] is not None and len(values) == len(cells) - 1:
            yield table.header[at], values, cells[-1]


def _sum(values: Iterable[Decimal]) -> Decimal:
    return sum(values, Decimal(0))


def _means(table: Table) -> Iterator[Finding]:
    """A weighted mean differs from the plain one in every column, so one that fits is asked for."""
    broken, n_kept = [], 0
    for name, values, mean in _columns(table):
        n = len(values)
        low, high = _sum(v.low for v in values) / n, _sum(v.high for v in values) / n
        if mean.may_be(low, high):
            n_kept += 1
        else:
            exact = shown(_sum(v.value for v in values) / n, mean.decimals + 1)
            what = f"{mean.text} is printed for the mean of {name!r:.40}, which is {exact}"
            broken.append(Finding(table.rows[-1].line, what, "warn", mean.text))
    if n_kept >= len(broken):
        yield from broken


def _sums(table: Table) -> Iterator[Finding]:
    first, last = table.rows[0].line, table.rows[-1].line - 1
    for name, values, total in _columns(table):
        low, high = _sum(v.low for v in values), _sum(v.high for v in values)
        exact = _sum(v.value for v in values)
        is_count = all(v.unit == "bytes" or (not v.unit and not v.decimals) for v in values)
        if not is_count or total.may_be(low, high) or not exact:
            continue
        if abs(exact - total.value) <= _NEAR * max(total.value, exact):
            listed = f"lines {first}-{last}"
            unit = " bytes" if total.unit == "bytes" else ""
            what = f"{total.text} is printed for the sum of {name!r:.40} ({listed}), which is "
            yield Finding(table.rows[-1].line, f"{what}{exact:,.0f}{unit}", "warn", total.text)


def _counts(card: CardText, read: list[Table]) -> Iterator[Finding]:
    """`In total 7 of 27`, where a column has `4 of 9`, `0 of 9`, `3 of 9`."""
    sums: dict[int, tuple[int, int]] = {}
    for table in read:
        for at in range(len(table.header)):
            parts = [_COUNT_OF.fullmatch(cell) for cell in table.column(at)]
            if len(parts) > 1 and all(parts):
                whole = sum(int(part[2]) for part in parts if part)
                sums[whole] = sum(int(part[1]) for part in parts if part), table.rows[0].line
    for sentence in card.sentences:
        for found in _IN_TOTAL.finditer(sentence.text):
            n, line = sums.get(int(found[2]), (int(found[1]), 0))
            if n != int(found[1]):
                what = f"{found[0]!r}, and the rows from line {line} on add up to {n}"
                yield Finding(sentence.line_of(found.start()), what, "warn", found[0])


def _same(first: Table, second: Table) -> Iterator[Finding]:
    """Cells of equal row and column: one table is the other times one number, but for a cell."""
    cells = [*_common(first, second)]
    if len(cells) < 6:
        return
    ranges = [(b.low / a.high, b.high / a.low) for _, a, _, b in cells]
    held: list[int] = []
    for low, _ in ranges:
        fitting = [n for n, (start, end) in enumerate(ranges) if start <= low <= end]
        held = max(held, fitting, key=len)
    if len(held) == len(cells) or 6 * (len(cells) - len(held)) > len(cells):
        return
    low = max(ranges[n][0] for n in held)
    for n in range(len(cells)):
        if n not in held:
            line, a, other, b = cells[n]
            what = (
                f"{a.text}, and {b.text} on line {other}: the other {len(held)} cells of the two "
                f"tables are times {shown(low, 5)}"
            )
            yield Finding(line, what, "warn", a.text)


def _common(first: Table, second: Table) -> Iterator[tuple[int, Amount, int, Amount]]:
    rows = {row.cells[0]: row for row in second.rows if row.cells}
    names = {name: at for at, name in enumerate(second.header)}
    for row in first.rows:
        other = rows.get(row.cells[0])
        for at, name in enumerate(first.header):
            place = names.get(name)
            if at == 0 or place is None or other is None:
                continue
            if first.header.count(name) > 1 or second.header.count(name) > 1:
                continue
            if at < len(row.cells) and place < len(other.cells):
                a, b = amount_of(row.cells[at]), amount_of(other.cells[place])
                if a and b and a.low > 0 and b.low > 0 and min(_n(a), _n(b)) >= _DIGITS:
                    yield row.line, a, other.line, b


def _n(amount: Amount) -> int:
    return len(re.sub(r"\D", "", amount.text).lstrip("0"))
