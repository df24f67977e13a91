"""Amounts as cards write them: `61.44 million`, `1.02 GB`, `24k`, `4.9e8`, `-0.8`, `seven of 27`.

Each is a range: what may have been rounded to what is printed. A unit of bytes that is ambiguous
(`MB` for 1000 or 1024 squared) widens the range, so that neither reading is called wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from validators.readme.quantities import APPROXIMATE

_SPACES = "\u00a0\u2009\u202f"
_DIGITS = (
    rf"(?:\d{{1,3}}(?:,\d{{3}})+|\d{{1,3}}(?:[ {_SPACES}]\d{{3}})+|\d{{1,15}})(?:\.\d{{1,15}})?"
)
_SCALES = {
    "thousand": 3, "million": 6, "billion": 9, "k": 3, "K": 3, "M": 6, "B": 9, "bn": 9,
}  # fmt: skip
_BYTES = {
    "kB": (1000, 1024), "KB": (1000, 1024), "MB": (1000**2, 1024**2), "GB": (1000**3, 1024**3),
    "TB": (1000**4, 1024**4), "KiB": (1024, 1024), "MiB": (1024**2, 1024**2),
    "GiB": (1024**3, 1024**3),
}  # fmt: skip
_UNIT = "|".join(sorted((*_SCALES, *_BYTES, "%", "x", "\u00d7"), key=len, reverse=True))
AMOUNT = (
    rf"(?<![\w.,/])(?P<sign>[-+\u2212]?)(?P<near>[~\u2248]?)(?P<digits>{_DIGITS})"
    rf"(?:[eE](?P<exponent>[-+]?\d{{1,2}}))?"
    rf"(?:[ {_SPACES}]?(?P<unit>{_UNIT})(?![\w]))?(?![\w]|[.,]\d)"
)
_AMOUNT = re.compile(AMOUNT)
# The same without groups, for patterns that hold several.
PLAIN = re.sub(r"\(\?P<\w+>", "(?:", AMOUNT)
_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen", "twenty",
)  # fmt: skip
WORDS = {word: n for n, word in enumerate(_WORDS)}
COUNT = rf"(?:\d{{1,3}}(?:,\d{{3}})+|\d{{1,9}}|(?i:{'|'.join(WORDS)}))"
_MORE_OR_LESS = re.compile(r"\b(?:a (?:little|shade|bit) under|just under|almost|over)\s*$")


@dataclass(frozen=True)
class Amount:
    """A printed amount.

    Attributes:
        text: as it stands there.
        value: what it says; bytes where the unit is one of bytes, else a plain number.
        low, high: the range of what it may stand for.
        unit: `%`, `bytes`, `x` or nothing.
        decimals: digits after the point.
        start, end: where it stands in the text that was searched.
    """

    text: str
    value: Decimal
    low: Decimal
    high: Decimal
    unit: str
    decimals: int
    start: int = 0
    end: int = 0

    def may_be(self, low: Decimal, high: Decimal | None = None) -> bool:
        """Whether it may stand for a number of this range."""
        return self.low <= (low if high is None else high) and low <= self.high


def amounts(text: str) -> Iterator[Amount]:
    """Every amount of a text, in order."""
    for found in _AMOUNT.finditer(text):
        yield _amount(found)


@lru_cache(maxsize=4096)
def amount_of(cell: str) -> Amount | None:
    """A cell that is an amount and nothing else."""
    found = _AMOUNT.fullmatch(cell.strip().strip("*`"))
    return _amount(found) if found else None


def leading_amount(cell: str) -> Amount | None:
    """The amount with which a cell begins."""
    found = _AMOUNT.match(cell.strip().strip("*`"))
    return _amount(found) if found else None


def count_of(text: str) -> int:
    """A count in digits or as a word."""
    return WORDS[text.lower()] if text.lower() in WORDS else int(re.sub(r"\D", "", text))


def _amount(found: re.Match[str]) -> Amount:
    digits = re.sub(rf"[, {_SPACES}]", "", found["digits"])
    decimals = len(digits.partition(".")[2])
    unit = found["unit"] or ""
    power = int(found["exponent"] or 0) + _SCALES.get(unit, 0)
    value = Decimal(digits).scaleb(power)
    slack = Decimal(5).scaleb(power - decimals - 1)
    before = found.string[max(0, found.start() - 24) : found.start()]
    if found["near"] or APPROXIMATE.search(before) or _MORE_OR_LESS.search(before):
        zeros = len(digits) - len(digits.rstrip("0")) if not decimals else 0
        slack = Decimal(1).scaleb(power + zeros - decimals)
    if found["sign"] in ("-", "\u2212"):
        value = -value
    low, high = value - slack, value + slack
    if unit in _BYTES:
        small, large = _BYTES[unit]
        value, low, high = value * small, low * small, high * large
        unit = "bytes"
    elif unit in ("x", "\u00d7"):
        unit = "x"
    elif unit in _SCALES:
        unit = ""
    return Amount(found[0], value, low, high, unit, decimals, found.start(), found.end())
