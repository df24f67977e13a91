"""Sentences that the card's own numbers, or its other sentences, contradict."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from validators.readme.card_text import CardText, Statement
from validators.readme.findings import Finding
from validators.readme.quantities import Printed, printed

_P = r"([~\u2248]?\d{1,3}(?:\.\d{1,4})?) ?%"
_PEAK = re.compile(rf"\b[Pp]eak (?:raw )?(?:balanced )?accuracy\b[ |:=]{{1,4}}{_P}")
_BEST = re.compile(rf"\b[Bb]est SAE(?: probe)?(?: accuracy)?\b[ |:=]{{1,4}}{_P}")
_BEATING = re.compile(r"\bSAEs beating (?:the )?raw baseline\b[ |:=]{1,4}(\d{1,6}) ?/ ?(\d{1,6})")
_HELP = re.compile(r"\bSAEs help\b")
_HURT = re.compile(
    r"\b(?:SAEs? (?:\w{1,20} )?(?:consistently |always )?hurts?|consistently hurts)\b"
)
_BELOW = re.compile(
    r"\b[Ee]ven the best SAE \([^()\n]{0,80}\) (?:falls|stays|is|remains) below "
    r"[^.\n]{0,20}raw\b"
)
_NAME = r"([A-Z][\w.-]{0,40}?-(\d{1,4}(?:\.\d{1,2})?)([MB]))\b"
_EXTREME = re.compile(
    rf"{_NAME} is the (smallest|largest) model\b[^.\n]{{0,60}}?"
    rf"\b(?:alongside|together with) {_NAME}"
)
_FIRST = re.compile(r"\bfirst[- ]ever\b", re.IGNORECASE)
_EVIDENCE = re.compile(r"https?://|\]\(|arXiv", re.IGNORECASE)
_ONE_PROMPT = re.compile(r"\ba single (?:[\w-]{1,30} ){0,4}prompt\b", re.IGNORECASE)
_EACH = re.compile(r"\b(?:each|every|per|for all) (?:scenario|prompt)", re.IGNORECASE)
_SCENARIOS = re.compile(
    r"\b(?:all|both|several|many|two|three|four|five|six|seven|eight|nine|ten|\d{1,3}) scenarios\b",
    re.IGNORECASE,
)
_AT_LEAST = re.compile(
    r"\b[A-Za-z][\w-]{1,40} (?:v?\d{1,3}(?:\.\d{1,4}){1,2}\+(?![\w.])|(?:>=|\u2265) ?\d)"
)
_P_VALUE = re.compile(r"\bp ?(?:=|>|\u2248|~) ?(0?\.\d{1,6}|1\.0{1,3})(?!\d)")
_SO = re.compile(r"\b(?:so|hence|thus|therefore|which (?:is|makes))\b", re.IGNORECASE)
_SIGNIFICANT = re.compile(r"\b(?:statistically )?significant(?:ly)?\b", re.IGNORECASE)
# What turns the sentence around, or speaks of something else than the p-value before it.
_TURNED = re.compile(
    r"\b(?:not?|nor|never|neither|none|cannot|hardly|without|fails?|lacks?|little|less|below|if"
    r"|whether|would|only|other|but|while|whereas|unless|before|until|far)\b|n't|\bp ?[<=>]",
    re.IGNORECASE,
)
_LEAST_P = Decimal("0.1")
_EXACT = re.compile(r"^\s*exact\b", re.IGNORECASE)


def lint_verdicts(card: CardText) -> Iterator[Finding]:
    """Help and harm, smallest and first, one and several: each against what stands beside it."""
    yield from _help_or_hurt(card)
    for sentence in card.sentences:
        for found in _EXTREME.finditer(sentence.text):
            if _size(found[2], found[3]) != _size(found[6], found[7]):
                what = f"{found[1]} as the {found[4]} model together with {found[5]}"
                yield Finding(sentence.line_of(found.start()), what, "warn", found[0])
        first = _FIRST.search(sentence.text)
        if first and not _EVIDENCE.search(sentence.text):
            what = f"{first[0]!r} without anything that shows it"
            yield Finding(sentence.line_of(first.start()), what, "note", first[0])
        yield from _significance(sentence)
    yield from _prompts(card)
    yield from _exact(card)


def _significance(sentence: Statement) -> Iterator[Finding]:
    """`p = 0.36, so the effect is significant`."""
    text = sentence.text.replace("\n", " ")
    for found in _P_VALUE.finditer(text):
        said = _SIGNIFICANT.search(text, found.end())
        between = text[found.end() : said.start()] if said else ""
        if Decimal(found[1]) < _LEAST_P or not _SO.search(between) or _TURNED.search(between):
            continue
        assert said is not None
        line, first = (sentence.line_of(each.start()) for each in (said, found))
        beside = f" (line {first})" if first != line else ""
        yield Finding(line, f"{said[0]!r} after {found[0]!r}{beside}", "warn", said[0])


def _size(number: str, unit: str) -> Decimal:
    return Decimal(number) * (1000 if unit == "B" else 1)


def _first(card: CardText, pattern: re.Pattern[str]) -> tuple[int, re.Match[str]] | None:
    for passage in card.prose:
        if found := pattern.search(passage.text):
            return passage.line_of(found.start()), found
    return None


def _help_or_hurt(card: CardText) -> Iterator[Finding]:
    beating, help_, hurt = (_first(card, pattern) for pattern in (_BEATING, _HELP, _HURT))
    peak, best = (_first(card, pattern) for pattern in (_PEAK, _BEST))
    if help_ and peak and best and not hurt:
        raw, of_sae = printed(peak[1][1]), printed(best[1][1])
        if _is_below(of_sae, raw):
            what = (
                f"SAEs help, and the best has {of_sae.text}% (line {best[0]}), "
                f"the raw peak {raw.text}% (line {peak[0]})"
            )
            yield Finding(help_[0], what, "warn", help_[1][0])
    if not beating or int(beating[1][1]) == 0:
        return
    said = f"line {beating[0]} has {beating[1][1]} of {beating[1][2]} SAEs beat the raw baseline"
    for contrary in (hurt, _first(card, _BELOW)):
        if contrary and not help_:
            what = f"{contrary[1][0]!r:.60}, and {said}"
            yield Finding(contrary[0], what, "warn", contrary[1][0])


def _is_below(first: Printed, second: Printed) -> bool:
    return first.high < second.value


def _prompts(card: CardText) -> Iterator[Finding]:
    several = _first(card, _SCENARIOS)
    for sentence in card.sentences if several else ():
        found = _ONE_PROMPT.search(sentence.text)
        if several and found and not _EACH.search(sentence.text):
            what = f"{found[0]!r}, and {several[1][0]!r} on line {several[0]}"
            yield Finding(sentence.line_of(found.start()), what, "warn", found[0])


def _exact(card: CardText) -> Iterator[Finding]:
    """A lower bound among settings that are called exact."""
    title = ""
    for passage in card.prose:
        is_title = passage.kind == "heading" or (
            "\n" not in passage.text and len(passage.text) < 60 and passage.raw[:1].isupper()
        )
        if is_title:
            title = passage.text
        elif _EXACT.match(title):
            for found in _AT_LEAST.finditer(passage.text):
                line = passage.line_of(found.start())
                what = f"{found[0]!r} is a bound, under {title.strip()!r:.60}"
                yield Finding(line, what, "note", found[0])
