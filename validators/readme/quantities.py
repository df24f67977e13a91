"""Numbers as they are printed: the value, its digits, and what it may have been before rounding."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d{1,12})?|\d{1,15}(?:\.\d{1,15})?"
# A number that is no part of a longer one, of a word, of a version or of a path.
NUMBER = rf"(?<![\w.,/-])[~\u2248]?(?:{_NUMBER})(?![\d]|[.,]\d)"
PERCENT = rf"{NUMBER} ?%"
TIMES = "[x*\u00d7\u00b7]"
APPROXIMATE = re.compile(r"(?:[~\u2248]|\b(?:about|around|approximately|roughly|some|nearly))\s*$")


@dataclass(frozen=True)
class Printed:
    """A printed number.

    Attributes:
        text: as it stands there.
        value: what the digits say.
        decimals: digits after the point.
        is_approximate: a `~`, "about" or the like stands before it.
        start: where it begins in the text that was searched.
    """

    text: str
    value: Decimal
    decimals: int
    is_approximate: bool
    start: int = 0

    @property
    def slack(self) -> Decimal:
        """How far the unrounded number may be away: half of the last digit's unit.

        An approximate one may be a whole unit of its last digit other than zero away.
        """
        if not self.is_approximate:
            return Decimal(5).scaleb(-self.decimals - 1)
        digits = self.text.replace(",", "").lstrip("~\u2248")
        zeros = len(digits) - len(digits.rstrip("0")) if self.decimals == 0 else 0
        return Decimal(1).scaleb(zeros - self.decimals)

    @property
    def low(self) -> Decimal:
        """The least that it may stand for."""
        return self.value - self.slack

    @property
    def high(self) -> Decimal:
        """The most that it may stand for."""
        return self.value + self.slack

    def may_be(self, low: Decimal, high: Decimal | None = None) -> bool:
        """Whether it may stand for a number of this range; for one number without `high`."""
        return self.low <= (low if high is None else high) and low <= self.high


def printed(text: str, *, before: str = "", start: int = 0) -> Printed:
    """Read one number; `before` is what stands before it, where "about" may be."""
    digits = text.lstrip("~\u2248").replace(",", "")
    approximate = text[:1] in ("~", "\u2248") or APPROXIMATE.search(before[-20:]) is not None
    decimals = len(digits.partition(".")[2])
    return Printed(text, Decimal(digits), decimals, approximate, start)


def percentages(text: str) -> Iterator[Printed]:
    """The percentages of a sentence, points (`pp`) not among them."""
    for found in re.finditer(rf"({NUMBER}) ?%(?!-?(?:points?|pp)\b)", text):
        yield printed(found[1], before=text[: found.start()], start=found.start())


def shown(value: Decimal, decimals: int = 2) -> str:
    """A computed number, to at most so many decimals."""
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
