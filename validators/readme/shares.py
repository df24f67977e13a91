"""Shares and sums beside the numbers they follow from: `14/30 (47%)`, `96 + 85 = 181`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from decimal import Decimal

from validators.readme.amounts import COUNT, count_of
from validators.readme.card_text import CardText
from validators.readme.findings import Finding
from validators.readme.quantities import TIMES, printed, shown

_N = r"(\d{1,3}(?:,\d{3})+|\d{1,9})"
_P = r"([~\u2248]?\d{1,3}(?:\.\d{1,6})?) ?%"
_OF = rf"(?<![\w.,/-]){_N} ?(?:/|of|out of) ?{_N}(?![\d/]|[.,]\d)"
_PERCENT_THEN = re.compile(rf"\({_P}, {_OF}(?:\)| [a-z]{{3,20}}[;,)])")
_PERCENT_OF = re.compile(rf"(?<![\w.,/-]){_P} of (?:the )?[a-z][a-z -]{{2,30}}\({_OF}\)")
_COUNT_OF = re.compile(rf"\b({COUNT}) of (?:the )?({COUNT}) (?:[A-Za-z][\w-]{{0,20}} )?\({_P}\)")
_WORDS = r"(?: [A-Za-z][\w-]{0,30}){0,4}"
_COUNT_FIRST = re.compile(rf"{_OF}{_WORDS} ?(?:\(|= |, or |, i\.e\. )(?:about )?{_P}(?!-?p)")
_PERCENT_FIRST = re.compile(rf"(?<![\w.,/-]){_P}\)?:? ?\(?{_OF}")
_SUM = re.compile(
    rf"(?<![\w.,/+*-])({_N}(?: ?\+ ?{_N}){{1,6}}) ?= ?{_N}(?![\d]|[.,]\d| ?[-+*/\u00d7])"
)
_TERM = r"\d[\d,]{0,14}(?: ?[x*\u00d7\u00b7] ?\d[\d,]{0,14}){0,4}"
_TERMS = re.compile(
    rf"(?<![\w.,/+*\u00d7\u00b7-])({_TERM}(?: ?\+ ?{_TERM}){{1,6}}) ?= ?"
    rf"(\d[\d,]{{0,18}})(?![\w%]|[.,]\d| ?[-+*/\u00d7\u00b7] ?\d)"
)
_OPERATOR = re.compile(r"(?:[-+*/^\u00d7\u00b7\u2212]|\d ?x) ?$")
_PARTS = re.compile(
    rf"(?<![\w.,/-]){_N} (?:SAEs?|[Ss]parse [Aa]uto-?encoders?) ?(?:[\u2014\u2013:-] ?|\()"
    rf"{_N} [A-Za-z][\w-]{{0,20}} \+ {_N} [A-Za-z]"
)
_MIXED = re.compile(
    rf"\bmixed \(all n ?= ?{_N}\), ?\w{{1,30}} \(n ?= ?{_N}\),? ?(?:and )?\w{{1,30}} \(n ?= ?{_N}\)"
)
_MIXED_PLAIN = re.compile(_MIXED.pattern.replace("all n", "n"))


def lint_shares(card: CardText) -> Iterator[Finding]:
    """Percentages against the counts beside them, and sums against their parts."""
    for sentence in card.sentences:
        text = sentence.text.replace("\n", " ")
        for found in _COUNT_FIRST.finditer(text):
            finding = _share(sentence.line_of(found.start()), found, found[1], found[2], found[3])
            if finding:
                yield finding
        for found in _PERCENT_FIRST.finditer(text):
            finding = _share(sentence.line_of(found.start()), found, found[2], found[3], found[1])
            if finding:
                yield finding
        for pattern in (_PERCENT_THEN, _PERCENT_OF):
            for found in pattern.finditer(text):
                line = sentence.line_of(found.start())
                if finding := _share(line, found, found[2], found[3], found[1]):
                    yield finding
        for found in _COUNT_OF.finditer(text):
            line = sentence.line_of(found.start())
            part, whole = str(count_of(found[1])), str(count_of(found[2]))
            is_said = _COUNT_FIRST.search(found[0]) is not None
            if not is_said and (finding := _share(line, found, part, whole, found[3])):
                yield finding
        for found in _TERMS.finditer(text):
            yield from _terms(sentence.line_of(found.start()), found)
        for found in _SUM.finditer(text):
            if _OPERATOR.search(text[: found.start()]):
                continue  # the end of a longer expression
            parts = [_int(part) for part in re.findall(r"\d[\d,]*", found[1])]
            yield from _sum(sentence.line_of(found.start()), found[0], parts, found.groups()[-1])
        for found in _PARTS.finditer(text):
            parts = [_int(found[2]), _int(found[3])]
            yield from _sum(sentence.line_of(found.start()), found[0], parts, found[1])
        for pattern in (_MIXED, _MIXED_PLAIN):
            for found in pattern.finditer(text):
                parts = [_int(found[2]), _int(found[3])]
                line = sentence.line_of(found.start())
                # A mixed condition may have been drawn from the others.
                for finding in _sum(line, found[0], parts, found[1]):
                    yield Finding(line, finding.what, "warn", finding.excerpt)


def _int(text: str) -> int:
    return int(text.replace(",", ""))


def _share(line: int, found: re.Match[str], part: str, whole: str, share: str) -> Finding | None:
    k, n = _int(part), _int(whole)
    if k > n or n == 0:
        return None  # a ratio, a date, or something else that is no share
    percent = printed(share, before=found.string[: found.start()])
    exact = Decimal(100 * k) / n
    if percent.may_be(exact):
        return None
    unit = Decimal(1).scaleb(-percent.decimals)
    was_cut = percent.value <= exact < percent.value + unit
    what = f"{part}/{whole} is {shown(exact)}%, and {share}% is printed"
    if was_cut:
        return Finding(line, f"{what} (cut off, not rounded)", "warn", found[0])
    return Finding(line, what, "fail", found[0])


def _terms(line: int, found: re.Match[str]) -> Iterator[Finding]:
    """`2 x 896 x 14336 + 896 = N`: a sum of products; plain sums are left to `_sum`."""
    if _OPERATOR.search(found.string[: found.start()]) or not re.search(TIMES, found[1]):
        return
    total = sum(
        math.prod(int(factor.replace(",", "")) for factor in re.findall(r"\d[\d,]*", term))
        for term in found[1].split("+")
    )
    if total != _int(found[2]):
        yield Finding(line, f"{found[1]} is {total:,}, not {found[2]}", "fail", found[0])


def _sum(line: int, excerpt: str, parts: list[int], whole: str) -> Iterator[Finding]:
    if sum(parts) != _int(whole):
        shown_parts = " + ".join(str(part) for part in parts)
        yield Finding(line, f"{shown_parts} is {sum(parts)}, not {whole}", "fail", excerpt)
