"""Sums, products and shares that one sentence spells out: its parts stand beside the whole."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import combinations, islice

from validators.readme.amounts import COUNT, PLAIN, Amount, amounts, count_of
from validators.readme.card_text import CardText
from validators.readme.findings import Finding, Said
from validators.readme.quantities import shown

_N = r"(\d{1,3}(?:,\d{3})+|\d{1,9})"
_P = r"(\d{1,3}(?:\.\d{1,4})?)%"
_PART = re.compile(rf"(?<![\w.,/-]){_N}(?: of (?:them|these|those)| [a-z]{{3,20}})? \({_P}\)")
_CHECKED = re.compile(
    rf"\b(?:checked|read|inspected|rated|judged|labelled|tested|sampled) ({COUNT}) [^.;\d]{{2,60}}?"
    rf"\b(?:agreed with|confirmed|kept|accepted|of which) ({COUNT}) \({_P}\)"
)
_TWO_OF = re.compile(
    rf"(?<![\w.,/])({COUNT}) of ({COUNT}) [^.;:]{{1,250}}: ({COUNT}) of ({COUNT}) [a-z]{{2,20}},? "
    rf"and ({COUNT}) of ({COUNT}) [a-z]{{2,20}}\b"
)
_EPOCHS = re.compile(
    rf"\b({COUNT}) epochs\b[^.;]{{0,60}}?\b({COUNT}) steps per epoch\b[^.;()\d]{{0,40}}?, "
    rf"({COUNT})(?: steps)? (?:in all|in total|altogether)\b"
)
_EACH = re.compile(
    rf"(?<![\w.,/])({COUNT}) [a-z]{{3,20}} (?:with|of) ({COUNT}) ([a-z]{{3,20}}) each\b"
    rf"[^.;:\d]{{1,40}}? ({COUNT}) \3 (?:at most|in all|in total|altogether|together)\b"
)
_TERM = rf"{PLAIN} ?[x\u00d7*] ?{PLAIN}"
_SUM_OF = re.compile(rf"({PLAIN})(?: [a-z]{{3,12}}){{0,2}} \(({_TERM}(?: ?\+ ?{_TERM}){{1,4}})\)")
_DIFFER = re.compile(rf"\b[Tt]hey (?:differ by|are) ({COUNT})(?: apart)?(?=[,.;])")
_NUMBER = re.compile(rf"(?<![\w.,/-]){_N}(?![\w%]|[.,]\d)")
_MOST_NUMBERS = 60
_FEWEST = 20


def lint_sums_said(card: CardText) -> Iterator[Finding]:
    """Each such sentence of a paragraph by itself."""
    for passage in card.prose:
        if passage.kind != "paragraph":
            continue
        text = passage.text.replace("\n", " ")
        for offset, what, excerpt in (
            *_partition(text), *_checked(text), *_two(text), *_products(text), *_terms(text),
            *_differ(text),
        ):  # fmt: skip
            yield Finding(passage.line_of(offset), what, "warn", excerpt)


def _numbers(text: str) -> list[int]:
    return [count_of(n) for n in islice(_NUMBER.findall(text), _MOST_NUMBERS)]


def _is_share(k: int, n: int, percent: str) -> bool:
    return next(amounts(percent + "%")).may_be(Decimal(100 * k) / n)


def _partition(text: str) -> Iterator[Said]:
    """`372 of them (62.0%), 150 (25.0%) and 78 (13.0%)`: parts of one number beside them."""
    for start, sentence in _sentences(text):
        parts = [*islice(_PART.finditer(sentence), 12)]
        if len(parts) < 3:
            continue
        pairs = [(count_of(part[1]), part[2]) for part in parts]
        for n in {n for n in _numbers(text) if n > max(k for k, _ in pairs)}:
            fits = [_is_share(k, n, p) for k, p in pairs]
            if fits.count(False) != 1:
                continue
            at = fits.index(False)
            (k, p), others = pairs[at], sum(k for i, (k, _) in enumerate(pairs) if i != at)
            # The count or the share is wrong where the other one completes the whole.
            if others + k == n or _is_share(n - others, n, p):
                what = f"{k} of {n} are {shown(Decimal(100 * k) / n)}%, and {p}% is printed"
                yield start + parts[at].start(), what, parts[at][0]
                break


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for end in [*(m.end() for m in re.finditer(r"(?<=[.!?]) (?=[A-Z])", text)), len(text)]:
        yield start, text[start:end]
        start = end


def _checked(text: str) -> Iterator[Said]:
    for found in _CHECKED.finditer(text):
        k, n = count_of(found[2]), count_of(found[1])
        wholes = {n, *(each for each in _numbers(text) if each >= k > 0)}
        if 0 < k <= n and not any(_is_share(k, each, found[3]) for each in wholes):
            exact = shown(Decimal(100 * k) / n)
            what = f"{k} of {n} are {exact}%, and {found[3]}% is printed"
            yield found.start(2), what, found[0]


def _two(text: str) -> Iterator[Said]:
    for found in _TWO_OF.finditer(text):
        k, n, a, b, c, d = (count_of(found[at]) for at in range(1, 7))
        if b + d == n and a + c != k:
            what = f"{k} of {n}, and {a} of {b} and {c} of {d} are {a + c}"
            yield found.start(), what, found[0]


def _products(text: str) -> Iterator[Said]:
    for pattern, last in ((_EPOCHS, 3), (_EACH, 4)):
        for found in pattern.finditer(text):
            first, each, whole = (count_of(found[at]) for at in (1, 2, last))
            if first * each != whole:
                what = f"{first} x {each} are {first * each:,}, not {found[last]}"
                yield found.start(last), what, found[0]


def _terms(text: str) -> Iterator[Said]:
    """`1.0B tokens (4 x 100M + 4 x 150M)`."""
    for found in _SUM_OF.finditer(text):
        whole = next(amounts(found[1]))
        terms = [
            [next(amounts(factor), None) for factor in re.split(r"[x\u00d7*]", term)]
            for term in found[2].split("+")
        ]
        factors = [[each for each in term if each is not None] for term in terms]
        units = {each.unit for term in factors for each in term} | {whole.unit}
        if units - {"", "bytes"} or any(len(term) != 2 for term in factors):
            continue
        low, value, high = (
            sum((math.prod(getattr(_exact(each), end) for each in term) for term in factors),
                Decimal(0))
            for end in ("low", "value", "high")
        )  # fmt: skip
        if not whole.may_be(low, high):
            what = f"{found[2]} is {shown(value)}, and {whole.text.strip()} stands before it"
            yield found.start(), what, found[0]


def _exact(amount: Amount) -> Amount:
    """Plain counts were not rounded."""
    is_count = amount.text.strip().isdigit()
    return replace(amount, low=amount.value, high=amount.value) if is_count else amount


def _differ(text: str) -> Iterator[Said]:
    """`They differ by 18`, with two numbers in the sentences before."""
    for found in _DIFFER.finditer(text):
        if "differ" not in found[0] and "apart" not in found[0]:
            continue
        before = {n for n in _numbers(text[: found.start()]) if n >= _FEWEST}
        gaps = {abs(a - b) for a, b in combinations(sorted(before), 2)}
        if len(before) == 2 and count_of(found[1]) not in gaps:
            a, b = sorted(before)
            yield found.start(), f"{a} and {b} are {b - a} apart, not {found[1]}", found[0]
