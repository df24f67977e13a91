"""Columns that follow from other columns: differences, products, shares, sizes.

A relation is taken from the table itself: it holds in most rows, and the few rows in which it does
not are reported. So a column that only looks like a difference raises nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import permutations

from validators.readme.amounts import Amount, amount_of, leading_amount
from validators.readme.card_tables import Table, tables
from validators.readme.card_text import CardText
from validators.readme.findings import Finding
from validators.readme.quantities import shown
from validators.readme.table_losses import from_constant, lint_recovered

_DIFFERENCE = re.compile(
    r"\b(?:diff(?:erence)?|gain|delta|change|improvement|drop|loss of)\b|\u0394", re.IGNORECASE
)
_FROM = re.compile(r"\b(?:from|to|vs\.?|against|over) ([\w.-]{2,30})$")
_POINTS = re.compile(r" ?(?:pp|p\.p\.|points)(?=[`* ]*$)")
_SIGNED = re.compile(r"[-+\u2212]")
_OF = re.compile(r"(\d[\d,]{0,11}) of (\d[\d,]{0,11})")
_WIDTH = re.compile(r"\b(?:(float|fp|bf|bfloat)(32|16|64)|int(8))\b", re.IGNORECASE)
_TOTAL = re.compile(r"(?:sum|total|all|overall|together|mean|average|avg\.?)\b", re.IGNORECASE)
_MOST_COLUMNS = 12
_MOST_ROWS = 200
_FROM_VALUE = 1000

Cells = Sequence[Amount | None]


def lint_table_differences(card: CardText) -> Iterator[Finding]:
    """Columns of differences."""
    for table in _read(card):
        columns = _numbers(table)
        for at, name in enumerate(table.header):
            cells = [*filter(None, columns[at])]
            is_signed = cells and all(_SIGNED.match(cell.text) or not cell.value for cell in cells)
            if is_signed or _DIFFERENCE.search(name):
                yield from _differences(table, columns, at)
        yield from lint_recovered(table, columns)


def lint_table_products(card: CardText) -> Iterator[Finding]:
    """Columns of products, of shares of `k of n`, and of sizes."""
    prose = {a for p in card.prose if p.kind == "paragraph" for a in re.findall(r"\d+", p.text)}
    for table in _read(card):
        columns = _numbers(table)
        yield from _products(table, columns, prose)
        yield from _shares(table, columns)
        yield from _sizes(table, columns)


def _read(card: CardText) -> Iterator[Table]:
    for table in tables(card):
        if len(table.header) <= _MOST_COLUMNS and 0 < len(table.rows) <= _MOST_ROWS:
            yield table


def _numbers(table: Table) -> list[Cells]:
    return [
        [amount_of(_POINTS.sub("", cell)) for cell in table.column(at)]
        for at in range(len(table.header))
    ]


def _outliers(holds: Sequence[bool | None]) -> list[int]:
    """The rows that break a relation which most others keep; empty where there is no relation."""
    broken = [row for row, held in enumerate(holds) if held is False]
    kept = sum(held is True for held in holds)
    return broken if kept >= 2 and 0 < 2 * len(broken) <= kept else []


def _differences(table: Table, columns: list[Cells], at: int) -> Iterator[Finding]:
    others = [c for c in range(len(columns)) if c != at and sum(map(bool, columns[c])) >= 2]
    best: tuple[list[int], Callable[[int], str]] | None = None
    for first, second in permutations(others, 2):
        holds = [
            _is_difference(columns[at][row], columns[first][row], columns[second][row])
            for row in range(len(table.rows))
        ]
        if True in holds and False not in holds:
            return
        # Where nothing differs, any two columns would do.
        n_telling = sum(bool(held and (d := columns[at][row]) and d.value)
                        for row, held in enumerate(holds))  # fmt: skip
        broken = _outliers(holds) if n_telling >= 2 else []
        if broken and (best is None or len(broken) < len(best[0])):

            def said(row: int, first: int = first, second: int = second) -> str:
                a, b, d = (columns[c][row] for c in (first, second, at))
                assert a and b and d
                exact = shown(b.value - a.value, 6)
                return f"{d.text} is printed for {b.text} less {a.text}, which is {exact}"

            best = broken, said
    if best:
        for row in best[0]:
            yield Finding(table.rows[row].line, best[1](row), "warn", table.column(at)[row])
        return
    yield from _from_one_row(table, columns, at)
    yield from from_constant(table, columns, at)


def _from_one_row(table: Table, columns: list[Cells], at: int) -> Iterator[Finding]:
    """`change from nf4`, where one row is nf4: each row less that row, in the column before."""
    named = _FROM.search(table.header[at])
    labels = [row.cells[0].strip("`* ").lower() for row in table.rows]
    bases = [r for r, label in enumerate(labels) if named and label.startswith(named[1].lower())]
    if len(bases) != 1 or at < 1 or (base := columns[at - 1][bases[0]]) is None:
        return
    holds = [
        None if row == bases[0] else _is_difference(columns[at][row], base, columns[at - 1][row])
        for row in range(len(labels))
    ]
    broken = [row for row, held in enumerate(holds) if held is False]
    if True in holds and len(broken) <= sum(held is True for held in holds):
        for row in broken:
            value = columns[at - 1][row]
            assert value is not None
            what = (
                f"{table.column(at)[row]} is printed for {value.text} less {base.text} "
                f"(line {table.rows[bases[0]].line}), which is {shown(value.value - base.value, 6)}"
            )
            yield Finding(table.rows[row].line, what, "warn", table.column(at)[row])


def _is_difference(
    difference: Amount | None, first: Amount | None, second: Amount | None
) -> bool | None:
    if difference is None or first is None or second is None:
        return None
    units = {first.unit, second.unit}
    is_signed = _SIGNED.match(difference.text) is not None
    if units != {difference.unit} and not (units == {"%"} and not difference.unit and is_signed):
        return None
    return difference.may_be(second.low - first.high, second.high - first.low)


def _products(table: Table, columns: list[Cells], prose: set[str]) -> Iterator[Finding]:
    rows = [r for r, row in enumerate(table.rows) if not _TOTAL.match(row.cells[0].strip("`* "))]
    whole = [[_whole(cells[row]) for row in rows] for cells in columns]
    for at, products in enumerate(whole):
        if sum(n is not None and n >= _FROM_VALUE for n in products) < 3:
            continue
        found = _pair(whole, at) or _constant(whole, at, prose)
        if found is None:
            continue
        broken, factors = found
        for row in broken:
            said = " x ".join(str(f if isinstance(f, int) else f[row]) for f in factors)
            product = 1
            for factor in factors:
                value = factor if isinstance(factor, int) else factor[row]
                product *= value or 1
            what = f"{said} is {product:,}, not {products[row]:,}"
            yield Finding(table.rows[rows[row]].line, what, "warn", table.column(at)[rows[row]])


def _whole(cell: Amount | None) -> int | None:
    if cell is None or cell.unit or cell.value != int(cell.value) or cell.value < 1:
        return None
    return int(cell.value)


Factors = tuple[list[int], tuple["int | list[int | None]", ...]]


def _pair(whole: list[list[int | None]], at: int) -> Factors | None:
    """Two other columns whose product this one is; no rows broken where it always is."""
    best: Factors | None = None
    others = [c for c in range(len(whole)) if c != at and any(whole[c])]
    for first, second in ((a, b) for a in others for b in others if a < b):
        holds = [
            None if None in (a, b, p) else (a or 0) * (b or 0) == p
            for a, b, p in zip(whole[first], whole[second], whole[at], strict=True)
        ]
        if holds.count(True) >= 2 and False not in holds:
            return [], (whole[first], whole[second])
        broken = _outliers(holds)
        if broken and (best is None or len(broken) < len(best[0])):
            best = broken, (whole[first], whole[second])
    return best


def _constant(whole: list[list[int | None]], at: int, prose: set[str]) -> Factors | None:
    """Another column times one number, which the text of the card gives as well."""
    for other in range(len(whole)):
        if other == at:
            continue
        ratios = [
            p // a if a and p and p % a == 0 else None
            for a, p in zip(whole[other], whole[at], strict=True)
        ]
        for ratio in {r for r in ratios if r and r > 1 and str(r) in prose}:
            holds = [
                None if None in (a, p) else (a or 0) * ratio == p
                for a, p in zip(whole[other], whole[at], strict=True)
            ]
            broken = _outliers(holds)
            # Values of two digits have small ratios in common.
            if broken and min(a for a in whole[other] if a) >= 100:
                return broken, (ratio, whole[other])
    return None


def _shares(table: Table, columns: list[Cells]) -> Iterator[Finding]:
    for cells in columns:
        for other in range(len(columns)):
            parts = [_OF.fullmatch(cell.strip("`* ")) for cell in table.column(other)]
            holds: list[bool | None] = []
            for part, share in zip(parts, cells, strict=True):
                known = part and share and share.unit == "%"
                holds.append(share.may_be(_percent(part)) if known and part and share else None)
            for row in _outliers(holds):
                part, share = parts[row], cells[row]
                assert part and share
                what = f"{part[0]} is {shown(_percent(part))}%, and {share.text} is printed"
                yield Finding(table.rows[row].line, what, "fail", share.text)


def _percent(part: re.Match[str]) -> Decimal:
    n = int(part[2].replace(",", ""))
    return Decimal(100 * int(part[1].replace(",", ""))) / n if n else Decimal(-1)


def _sizes(table: Table, columns: list[Cells]) -> Iterator[Finding]:
    """Bytes in a row with its number of parameters, and with their type or their bits."""
    names = [name.lower() for name in table.header]
    counts = [c for c, name in enumerate(names) if re.match(r"(?:n_)?param", name)]
    if len(counts) != 1:
        return
    bits_at = next((c for c, name in enumerate(names) if name.startswith("bits")), None)
    for row, passage in enumerate(table.rows):
        n = columns[counts[0]][row]
        if n is None or n.value < _FROM_VALUE:
            continue
        for at, name in enumerate(names):
            size = columns[at][row]
            if size is None or size.unit != "bytes":
                continue
            width = _WIDTH.search(name)
            if width:
                bits = Decimal(width[2] or width[3])
                low = high = bits
            elif bits_at is not None and (each := leading_amount(passage.cells[bits_at])):
                bits, low, high = each.value, each.low, each.high
            else:
                continue
            if not size.may_be(n.low * low / 8, n.high * high / 8):
                what = (
                    f"{n.text} parameters of {bits} bits are {shown(n.value * bits / 8 / 10**6)} "
                    f"MB, not {size.text}"
                )
                yield Finding(passage.line, what, "warn", size.text)
