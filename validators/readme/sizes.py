"""Sizes that cannot be: bits for each parameter below the format's, less memory than weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from validators.readme.card_text import CardText, Passage
from validators.readme.findings import Finding
from validators.readme.quantities import printed, shown

_BITS = re.compile(
    r"([~\u2248]?)(?<![\w.,])(\d{1,2}(?:\.\d{1,4})?) ?bits? ?(?:/|per|a) ?"
    r"(?:param(?:eter)?|weight)s?\b"
)
# The width of a block's scale is none of the weights'.
_WIDTH = re.compile(
    r"(?<![\w.])(\d{1,2})(?:-?bit|[ -]bits)\b(?! (?:scale|constant|zero))"
    r"|\b(?:nf|fp|int|uint)(\d{1,2})\b",
    re.IGNORECASE,
)
_NEEDS = re.compile(
    r"\b(?:requires?|needs?|fits? (?:in|into|on)|runs? (?:in|on))\b[^\n.;]{0,20}?"
    r"(>=|>|\u2265|<|~|at least|at most|under|about|only)? ?(\d{1,4}(?:\.\d)?) ?Gi?B\b"
)
_HOLDS = re.compile(
    r"(?<![\w.])(\d{1,4}(?:\.\d{1,3})?) Gi?B (?:[\w-]{1,20}\s){1,3}"
    r"(?:has room for|holds|fits|suffices for)\s"
    r"(?:the\s)?(\d{1,4}(?:\.\d{1,3})?) Gi?B\b"
)
_SETS_TYPE = re.compile(r"\bbnb_4bit_quant_type=[\"'](nf4|fp4)[\"']")
_PARAMETERS = re.compile(r"(?<![\w.,-])(\d{1,4}(?:\.\d{1,3})?)B param(?:eter)?s?\b")
_BYTES = {"fp32": 4, "float32": 4, "fp16": 2, "float16": 2, "bf16": 2, "bfloat16": 2}
_PRECISION = re.compile(r"\b(fp32|float32|fp16|float16|bf16|bfloat16)\b(?!\s*-?\s*compute)")
_REACH = 400
# Scales of blocks of 64, each 32 bits; doubly quantised 8, and 32 for 256 of them.
_NF4, _NF4_DOUBLE = Decimal("4.5"), Decimal("4.127")


def lint_sizes(card: CardText) -> Iterator[Finding]:
    """Claimed bits against the format's width, claimed memory against parameters times bytes."""
    for passage in card.prose:
        yield from _bits(passage)
    yield from _memory(card)
    yield from _four_bit_type(card)
    for passage in card.prose:
        for found in _HOLDS.finditer(passage.text):
            if Decimal(found[2]) > Decimal(found[1]):
                what = f"{found[2]} GB in {found[1]} GB"
                line = passage.line_of(found.start())
                yield Finding(line, what, "fail", found[0])


def _four_bit_type(card: CardText) -> Iterator[Finding]:
    """The 4-bit type that the code sets, where the text names the other one alone."""
    prose = "\n".join(passage.text for passage in card.prose)
    named = {name.lower() for name in re.findall(r"\b(?:nf4|fp4)\b", prose, re.IGNORECASE)}
    for statement in card.statements:
        found = _SETS_TYPE.search(statement.text)
        if found and len(named) == 1 and found[1] not in named:
            what = f"{found[0]}, and the text speaks of {named.pop()} alone"
            yield Finding(statement.line, what, "warn", found[0])


def _bits(passage: Passage) -> Iterator[Finding]:
    for found in _BITS.finditer(passage.text):
        rest = passage.text[: found.start()] + passage.text[found.end() :]
        before = passage.text[: found.start()][-_REACH:].rpartition(". ")[2]
        own = before + passage.text[found.end() :][:_REACH].partition(". ")[0]
        # A passage may speak of several formats, and its sentence of one.
        widths = _widths(rest)
        if len(widths) != 1:
            rest, widths = own, _widths(own)
        if len(widths) != 1:
            continue
        (width,) = widths
        bits = printed(found[1] + found[2], before=passage.text[: found.start()])
        line = passage.line_of(found.start())
        lower = re.search(r"nf4", rest, re.IGNORECASE)
        is_double = re.search(r"(?<!without )(?<!no )double[- ]?quant", rest, re.IGNORECASE)
        takes = _NF4_DOUBLE if is_double else _NF4
        if bits.high < width:
            beside = f"; nf4 in blocks of 64 takes {takes}" if lower else ""
            what = f"{found[0]}, and every weight takes {width} bits{beside}"
            yield Finding(line, what, "fail", found[0])
        elif lower and bits.high < takes:
            what = f"{found[0]}, and nf4 in blocks of 64 takes {takes}"
            yield Finding(line, what, "warn", found[0])


def _widths(text: str) -> set[int]:
    return {int(a or b) for a, b in _WIDTH.findall(text)} & {2, 3, 4, 5, 6, 8}


def _memory(card: CardText) -> Iterator[Finding]:
    stated = {m[1] for passage in card.prose for m in _PARAMETERS.finditer(passage.text)}
    if len(stated) != 1:
        return
    billions = Decimal(stated.pop())
    prose = card.prose
    for at, passage in enumerate(prose):
        for found in _NEEDS.finditer(passage.text):
            # The precision stands with the requirement, or in the steps right below it.
            near = "\n".join(each.text for each in prose[at : at + 2])
            n_bytes = {_BYTES[name] for name in _PRECISION.findall(near)}
            if len(n_bytes) != 1:
                continue
            gigabytes = billions * n_bytes.pop()
            if Decimal(found[2]) < gigabytes:
                names = "/".join(dict.fromkeys(_PRECISION.findall(near)))
                yield Finding(
                    passage.line_of(found.start()),
                    f"{found[0]!r}, and {billions}B parameters in {names} alone take "
                    f"{shown(gigabytes, 1)} GB",
                    "warn",
                    found[0],
                )
