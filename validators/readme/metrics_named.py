"""Metrics that are compared though they differ, and statistics without the number they rest on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from validators.readme.card_text import CardText, Passage
from validators.readme.findings import Finding

_BALANCED = re.compile(r"\bbalanced accuracy\b", re.IGNORECASE)
_PLAIN = re.compile(r"(?<!balanced )\baccuracy\b", re.IGNORECASE)
_PERCENT = re.compile(r"\d ?%|\b0\.\d{2,}")
# 0.05 and 0.01 are levels; anything else is a result.
_P_VALUE = re.compile(r"\bp ?[<>=] ?0?\.(?!0[51]\b)\d{1,6}")
_HAS_N = re.compile(r"\bn ?= ?[\d(]|\bn=|\b\d[\d,]* (?:samples|completions|prompts|vectors|runs)\b")
# So many of so many, or so many things: what a section says of its samples.
_SAMPLES = re.compile(
    r"(?<![\w.,])\d[\d,]{0,11} (?:of|out of) (?:the )?\d"
    r"|(?<![\w.,])\d[\d,]{0,11} (?:[a-z-]{2,20} ){0,2}(?:samples|statements|answers|questions"
    r"|examples|items|sentences|texts|pairs|documents|reviews|prompts|completions)\b"
)
_RATE = re.compile(r"\w*rate$|accuracy$", re.IGNORECASE)
_SETTING = re.compile(r"learning|sampl|drop|decay", re.IGNORECASE)
_N_COLUMN = re.compile(
    r"n$|n_\w+|num\w*|count\w*|\w*(?:samples|vectors|completions)$", re.IGNORECASE
)
_NUMBER = re.compile(r"[-+\u2212]?\d{1,6}(?:\.\d{1,8})?%?$")
# Blocks of one section, where a page has no headings.
_SECTION = 12
# Rows of one table, as far as a page without markup shows them.
_REACH = 6


def lint_metrics(card: CardText) -> Iterator[Finding]:
    """Accuracy beside balanced accuracy; p-values and rates without n."""
    yield from _mixed(card)
    for passage in card.prose:
        values = [*_P_VALUE.finditer(passage.text)]
        if not values or _HAS_N.search(passage.text) or _SAMPLES.search(_section(card, passage)):
            continue
        for found in values:
            line = passage.line_of(found.start())
            yield Finding(line, f"{found[0]} without the n it rests on", "note", found[0])
    yield from _rates(card)


def _section(card: CardText, passage: Passage) -> str:
    """What stands above in the same section, tables aside, and the block itself."""
    at = card.passages.index(passage)
    start = at
    while start > max(0, at - _SECTION) and card.passages[start].kind != "heading":
        start -= 1
    return "\n".join(p.text for p in card.passages[start : at + 1] if p.kind != "row")


def _mixed(card: CardText) -> Iterator[Finding]:
    balanced = 0
    for line, text in _rows(card):
        if not _PERCENT.search(text):
            continue
        if _BALANCED.search(text):
            balanced = line
        elif balanced and line - balanced <= _REACH and (found := _PLAIN.search(text)):
            label = text[: found.end()].strip(" |")
            what = f"{label!r:.80} beside a balanced accuracy on line {balanced}: two metrics"
            yield Finding(line, what, "warn", found[0])


def _rows(card: CardText) -> Iterator[tuple[int, str]]:
    """Rows of tables, and short lines without a full stop in pages that lost their markup."""
    for passage in card.prose:
        for at, text in enumerate(passage.text.split("\n")):
            is_short = len(text) <= 100 and not text.rstrip().endswith((".", ",", ";", ":"))
            if passage.kind == "row" or (passage.kind == "paragraph" and is_short):
                yield passage.line + at, text


def _rates(card: CardText) -> Iterator[Finding]:
    """A column of rates in a table that has no column of counts."""
    seen: set[tuple[str, ...]] = set()
    for passage in card.prose:
        if passage.header and passage.header not in seen:
            seen.add(passage.header)
            values = dict(zip(passage.header, passage.cells, strict=False))
            has_values = {name for name, cell in values.items() if _NUMBER.match(cell)}
            yield from _column(card, passage, passage.header, has_values, passage.line)
        elif passage.kind == "paragraph":
            lines = passage.text.split("\n")
            for at, (above, below) in enumerate(pairwise(lines)):
                names, cells = tuple(above.split()), below.split()
                # A header of words over a row of as many numbers.
                is_numeric = len(names) == len(cells) > 1 and all(map(_NUMBER.match, cells))
                if is_numeric and not any(map(_NUMBER.match, names)):
                    yield from _column(card, passage, names, set(names), passage.line + at)


def _column(
    card: CardText, passage: Passage, names: tuple[str, ...], filled: set[str], line: int
) -> Iterator[Finding]:
    rates = [
        name
        for name in names
        if _RATE.search(name) and not _SETTING.search(name) and name in filled
    ]
    if not rates or any(_N_COLUMN.match(name) for name in names):
        return
    at = card.passages.index(passage)
    # The block before, past the header's own row, and the one behind.
    first = at - 2 if passage.kind == "row" else at - 1
    near = "\n".join(each.text for each in card.passages[max(0, first) : at + 2])
    if not _HAS_N.search(near) and not _SAMPLES.search(_section(card, passage)):
        yield Finding(line, f"the column {rates[0]!r:.60} has no n beside it", "note", rates[0])
