"""Ranges: which of their ends is the lower one, and whether an interval holds its estimate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from validators.readme.amounts import PLAIN, Amount, amount_of, amounts
from validators.readme.card_tables import Table, tables
from validators.readme.card_text import CardText
from validators.readme.findings import Finding, Said

_UP = r"rises|rose|raises|raised|grows|grew|increases|increased|climbs|climbed|goes up|went up"
_DOWN = (
    r"falls|fell|drops|dropped|declines|declined|decreases|decreased|reduces|reduced|lowers"
    r"|lowered|shrinks|shrank|goes down|went down"
)
# What may be between a verb and its numbers; another clause would have numbers of its own.
_CLAUSE = (
    rf"when|as|if|while|where|and|which|that|but|because|going|goes|moving|back|not|until|than|by"
    rf"|with(?! (?:the )?(?:depth|layer))|{_UP}|{_DOWN}"
)
_MOVES = re.compile(
    rf"\b(?:({_UP})|({_DOWN}))\b((?:(?!\b(?:{_CLAUSE})\b)[^.;:()\d]){{0,40}}?)\bfrom ({PLAIN})"
    rf"(?: (?:at|in|on|for|after|of) (?:the )?(?:[A-Za-z]{{1,12}} )?\d{{1,4}})?,? to ({PLAIN})"
    r"(?! (?:of|in|out) \d)"
)
_NEGATED = re.compile(
    r"\b(?:not|never|no longer|neither|nor|hardly|instead of|rather than)\W", re.I
)
_AND = r" ?(?:to|-|\u2013|and|,) ?"
_INTERVAL = re.compile(
    rf"\b(?:CI|(?:[Cc]onfidence|[Cc]redible) interval)s?\b[^.;()\d\[]{{0,40}}?[\[(]?"
    rf"({PLAIN}){_AND}({PLAIN})"
)
_LEVEL = r"\d{2}(?:\.\d)?% (?:CI|confidence interval)[:=]? [\[(]?"
_ESTIMATED = re.compile(
    rf"\(({PLAIN})(?=[,;])([^()]{{0,80}}?)\b{_LEVEL}({PLAIN}){_AND}({PLAIN})[\])]"
    rf"|({PLAIN}),? \({_LEVEL}({PLAIN}){_AND}({PLAIN})[\])]"
)
_LIES = re.compile(
    rf"\b(?:(?:lies?|lay|range[sd]?|var(?:y|ies|ied)) between ({PLAIN}) and ({PLAIN})"
    rf"|range[sd]? from ({PLAIN}) to ({PLAIN}))"
)
_AHEAD_BY = re.compile(
    r"\b(?:better|worse|higher|lower|ahead|above|below|larger|smaller|beats?|outperforms?|exceeds?)"
    rf"\b[^.;:()\d]{{0,60}}? by ({PLAIN}) to ({PLAIN})"
)
# With these `by A to B` may give the step and what it led to.
_CHANGES = re.compile(
    r"\b(?:fall|fell|drop|rise|rose|grow|grew|reduc|increas|decreas|lowered|lowers|rais|improv"
    r"|shrink|cut|from|goes|went|mov|chang)\w*", re.IGNORECASE,
)  # fmt: skip
_CELL = re.compile(rf"({PLAIN}) [(\[]({PLAIN}) ?(?:to|-|\u2013|,) ?({PLAIN})[)\]]")
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DAYS = re.compile(rf"\bfrom (\d{{1,2}}) ({_MONTHS}) (?:to|until) (\d{{1,2}}) ({_MONTHS})\b")
_DATES = re.compile(r"\bfrom (\d{4}-\d{2}-\d{2}) (?:to|until) (\d{4}-\d{2}-\d{2})\b")
# A better rank is a lower number.
_RANK = re.compile(r"\b(?:rank|place|position|percentile)\w*\W+(?:\w+\W+){0,3}$", re.IGNORECASE)
# What two intervals may be called by.
_LEVELS = {50, 68, 80, 90, 95, 99}
_FEWEST_CELLS = 3
_LARGE = 1000


def lint_ranges(card: CardText) -> Iterator[Finding]:
    """Rises that fall, reversed ranges and dates, intervals beside their estimate."""
    for passage in card.prose:
        if passage.kind == "row":
            continue
        text = passage.text.replace("\n", " ")
        for offset, what, excerpt in (
            *_moves(text), *_reversed(text), *_estimates(text), *_dates(text),
        ):  # fmt: skip
            yield Finding(passage.line_of(offset), what, "warn", excerpt)
    for table in tables(card):
        for at in range(len(table.header)):
            yield from _column(table, at)


def _ends(first: str, second: str) -> tuple[Amount, Amount] | None:
    """Both ends, of one unit; the first may leave it to the second."""
    low, high = next(amounts(first), None), next(amounts(second), None)
    if low is None or high is None:
        return None
    if high.unit == "%" and not low.unit:
        low = replace(low, unit="%")
    return (low, high) if low.unit == high.unit else None


def _is_above(first: Amount, second: Amount) -> bool:
    """Beyond what rounding leaves open."""
    return first.low > second.high


def _moves(text: str) -> Iterator[Said]:
    for found in _MOVES.finditer(text):
        ends = _ends(found[4], found[5])
        before = text[max(0, found.start() - 40) : found.start()]
        if ends is None or _NEGATED.search(before[-24:]) or _RANK.search(before):
            continue
        is_of_rows = (found[2] or "").startswith("drop") and found[3].strip()
        if is_of_rows and not found[3].strip().startswith("with"):
            continue  # things are dropped, and from where is said
        # Plain small numbers behind other words may be layers.
        is_told = any(end.decimals or end.unit or end.value >= _LARGE for end in ends)
        if found[3].strip() and not is_told:
            continue
        a, b = ends
        if _is_above(a, b) if found[1] else _is_above(b, a):
            way = "down" if found[1] else "up"
            what = (
                f"{found[1] or found[2]!r}, and from {a.text.strip()} to {b.text.strip()} is {way}"
            )
            yield found.start(), what, found[0]


def _reversed(text: str) -> Iterator[Said]:
    for pattern in (_INTERVAL, _LIES, _AHEAD_BY):
        for found in pattern.finditer(text):
            at = 1 if found[1] else 3
            ends = _ends(found[at], found[at + 1])
            sentence = text[text.rfind(". ", 0, found.start()) + 1 : found.end()]
            if pattern is _AHEAD_BY and _CHANGES.search(sentence):
                continue
            if ends is None or {*(end.value for end in ends)} <= _LEVELS:
                continue
            # Two losses may stand in the order of their size.
            is_negative = all(end.value < 0 for end in ends)
            if _is_above(*ends) and not is_negative:
                what = f"a range from {ends[0].text.strip()} to {ends[1].text.strip()}"
                yield found.start(at), f"{what}: its low end is the higher one", found[0]


def _estimates(text: str) -> Iterator[Said]:
    for found in _ESTIMATED.finditer(text):
        first, low, high = (1, 3, 4) if found[1] else (5, 6, 7)
        ends, value = _ends(found[low], found[high]), next(amounts(found[first]), None)
        others = [a for a in amounts(found[2] or "") if value and a.unit == value.unit == "%"]
        if not ends or value is None or value.unit != ends[0].unit or others:
            continue
        if found[1] and value.unit != "%":
            continue  # the first number of a bracket may be one of many
        if _is_above(ends[0], ends[1]) or value.may_be(ends[0].low, ends[1].high):
            continue
        what = f"{found[first]} is outside of its interval, {found[low]} to {found[high]}"
        yield found.start(low), what, found[0]


def _dates(text: str) -> Iterator[Said]:
    for found in _DAYS.finditer(text):
        # Two months may be of two years.
        if found[2] == found[4] and int(found[1]) > int(found[3]):
            yield found.start(), f"{found[0]!r}: it ends before it begins", found[0]
    for found in _DATES.finditer(text):
        if found[1] > found[2]:
            yield found.start(), f"{found[0]!r}: it ends before it begins", found[0]


def _column(table: Table, at: int) -> Iterator[Finding]:
    """`0.755 (0.746-0.765)` in most rows, and one whose value is not between."""
    cells = [_CELL.fullmatch(cell.strip("`* ")) for cell in table.column(at)]
    broken = []
    for row, cell in zip(table.rows, cells, strict=True):
        if cell is None:
            continue
        value, low, high = (amount_of(cell[n]) for n in (1, 2, 3))
        if value and low and high and not value.may_be(low.low, high.high):
            broken.append(Finding(row.line, f"{cell[0]}: not within its interval", "warn", cell[0]))
    n = sum(cell is not None for cell in cells)
    if n >= _FEWEST_CELLS and 3 * len(broken) <= n:
        yield from broken
