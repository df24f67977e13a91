"""Differences in percentage points beside the two percentages they follow from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from validators.readme.card_text import CardText, Statement
from validators.readme.findings import Finding
from validators.readme.quantities import Printed, percentages, printed, shown

_POINTS = re.compile(
    r"(?<![\w.,/])([+\u2212-]?)(~?\d{1,3}(?:\.\d{1,6})?) ?"
    r"(?:pp|p\.p\.|percentage[ -]points?|%-points?|points)\b"
)
# Two percentages of a sentence are the operands where it compares them.
_COMPARES = re.compile(
    r"\b(?:vs\.?|versus|than|over|above|below|against|compared|beat(?:s|ing)?|to|from|improvement"
    r"|baseline|exceed\w*|outperform\w*)\b"
)


def lint_differences(card: CardText) -> Iterator[Finding]:
    """Each stated difference against the two percentages of its sentence.

    One that a table gives, beside the numbers that it lies between, needs no others.
    """
    in_tables = {
        cell.strip("*` ").replace("\u2212", "-")
        for passage in card.prose
        if passage.kind == "row"
        for cell in passage.cells
    }
    for sentence in card.sentences:
        points = list(_POINTS.finditer(sentence.text.replace("\n", " ")))
        stated = list(percentages(sentence.text))
        if not points:
            continue
        if len(stated) == 2 and _COMPARES.search(sentence.text):
            for found in points:
                yield from _difference(sentence, found, stated[0], stated[1])
        elif not stated and any(found[1] for found in points):
            found = points[0]
            if (found[1] + found[2]).replace("\u2212", "-") in in_tables:
                continue
            yield Finding(
                sentence.line_of(found.start()),
                f"{found[0]} without the two numbers that it lies between",
                "note",
                found[0],
            )


def _difference(
    sentence: Statement, found: re.Match[str], first: Printed, second: Printed
) -> Iterator[Finding]:
    difference = printed(found[2], before=sentence.text[: found.start()])
    exact = abs(first.value - second.value)
    slack = first.slack + second.slack
    low, high = max(exact - slack, Decimal(0)), exact + slack
    what = f"{first.text}% and {second.text}% are {shown(exact)} apart, and {found[0]} is printed"
    line = sentence.line_of(found.start())
    if not difference.may_be(low, high):
        yield Finding(line, what, "fail", found[0])
    elif difference.decimals > min(first.decimals, second.decimals) and not difference.may_be(
        exact
    ):
        what += ", with more digits than both numbers have"
        yield Finding(line, what, "warn", found[0])
