"""Columns that follow from another column and one number of the text: losses, and what is kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice

from validators.readme.amounts import Amount, amounts
from validators.readme.card_tables import Table
from validators.readme.findings import Finding
from validators.readme.quantities import shown

_RECOVERED = re.compile(r"\brecovered\b|\bloss score\b|\bCE score\b", re.IGNORECASE)
_LEAST_DECIMALS = 2
_MOST = 12

Cells = Sequence[Amount | None]


def from_constant(table: Table, columns: list[Cells], at: int) -> Iterator[Finding]:
    """A column of differences from a number that the text above gives, such as the clean loss."""
    for base in _bases(table):
        for other in range(len(columns)):
            if other == at:
                continue
            holds = [
                None if a is None or d is None or a.unit != d.unit
                else d.may_be(a.low - base.high, a.high - base.low)
                for a, d in zip(columns[other], columns[at], strict=True)
            ]  # fmt: skip
            broken = [row for row, held in enumerate(holds) if held is False]
            if holds.count(True) < 3 or 2 * len(broken) > holds.count(True):
                continue
            for row in broken:
                a, d = columns[other][row], columns[at][row]
                assert a and d
                exact = shown(a.value - base.value, 6)
                what = f"{d.text} is printed for {a.text} less {base.text}, which is {exact}"
                yield Finding(table.rows[row].line, what, "warn", d.text)
            return


def lint_recovered(table: Table, columns: list[Cells]) -> Iterator[Finding]:
    """`(zero - SAE) / (zero - clean)`, where most rows are that of two columns and a number."""
    named = [at for at, name in enumerate(table.header) if _RECOVERED.search(name)]
    for at in named[:2]:
        others = [c for c in range(len(columns)) if c != at]
        for base in _bases(table):
            for spliced, ablated in ((a, b) for a in others for b in others if a != b):
                holds = [
                    _is_kept(*cells, base)
                    for cells in zip(columns[at], columns[spliced], columns[ablated], strict=True)
                ]
                broken = [row for row, held in enumerate(holds) if held is False]
                if holds.count(True) < 3 or 2 * len(broken) > holds.count(True):
                    continue
                for row in broken:
                    kept, a, b = (columns[c][row] for c in (at, spliced, ablated))
                    assert kept and a and b
                    exact = shown(100 * (b.value - a.value) / (b.value - base.value))
                    what = (
                        f"{kept.text}, and ({b.text} - {a.text}) / ({b.text} - {base.text}) is "
                        f"{exact}%"
                    )
                    yield Finding(table.rows[row].line, what, "warn", kept.text)
                return


def _is_kept(
    kept: Amount | None, spliced: Amount | None, ablated: Amount | None, clean: Amount
) -> bool | None:
    if kept is None or spliced is None or ablated is None or spliced.unit or ablated.unit:
        return None
    if ablated.low <= clean.high:
        return None
    low = (ablated.low - spliced.high) / (ablated.low - clean.low)
    high = (ablated.high - spliced.low) / (ablated.high - clean.high)
    by = Decimal(100 if kept.unit == "%" else 1)
    return kept.may_be(by * low, by * high)


def _bases(table: Table) -> list[Amount]:
    """Numbers with decimals that stand right above the table."""
    found = (a for a in amounts(table.caption.replace("\n", " ")) if not a.unit)
    return [*islice((a for a in found if a.decimals >= _LEAST_DECIMALS), _MOST)]
