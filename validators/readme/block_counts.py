"""How many blocks the base model has and how many have been passed: one number, and its shares."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from validators.readme.amounts import COUNT, amounts, count_of
from validators.readme.card_text import CardText, Statement
from validators.readme.findings import Finding, Surroundings
from validators.readme.quantities import shown

_HAS = re.compile(r"(?<![\w.,])(?:has|with|\(|of the) ?(\d{1,3}) (?:transformer )?blocks\b")
_OF = re.compile(rf"(?<![\w.,/])({COUNT})(?: of |/)({COUNT}) blocks\b")
_AFTER = re.compile(rf"\bafter (?:layer|block) (\d{{1,3}}),? ({COUNT}) of ({COUNT}) blocks\b")
_FROM_ZERO = re.compile(r"\b(?:layers|blocks) (?:are )?(?:counted|numbered) from 0 to (\d{1,3})\b")
_ALL = re.compile(rf"\ball (?:of the )?({COUNT}) (?:layers|blocks)\b")
_LIST = r"(\d{1,3}(?:, \d{1,3}){0,20} and \d{1,3})"
_SHARES = re.compile(
    rf"{_LIST} of them "
    r"\(((?:\d{1,3}(?:\.\d{1,2})?\s?%(?:, | and |, and )?){2,22})\)"
)


def lint_block_counts(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Counts of blocks against the number that the card gives, and shares against the counts."""
    totals: dict[int, int] = {}
    for statement in card.sentences:
        for found in _HAS.finditer(statement.text):
            totals.setdefault(int(found[1]), statement.line_of(found.start()))
    if known.n_layers is not None:
        totals = {known.n_layers: 0}
    yield from _from_zero(card)
    is_from_zero = any("blocks." in (sae.hook_name or "") for sae in known.saes)
    for sentence in card.sentences:
        plain = Statement(sentence.line, sentence.text.replace("\n", " "))
        if len(totals) == 1:
            ((n, line),) = totals.items()
            for found in _OF.finditer(plain.text):
                if count_of(found[2]) != n and count_of(found[2]) > 1:
                    where = f" on line {line}" if line else ""
                    what = f"{found[0]!r}, and the model has {n}{where}"
                    yield Finding(sentence.line_of(found.start()), what, "warn", found[0])
            for found in _SHARES.finditer(plain.text):
                yield from _shares(sentence, found, n)
        for found in _AFTER.finditer(plain.text) if is_from_zero else ():
            passed = count_of(found[2])
            if passed != int(found[1]) + 1:
                what = f"{found[0]!r}: with the first one 0, {int(found[1]) + 1} are passed"
                yield Finding(sentence.line_of(found.start(2)), what, "warn", found[0])


def _from_zero(card: CardText) -> Iterator[Finding]:
    """`layers counted from 0 to 6`, of `all 6 layers`."""
    said = [(s, found) for s in card.sentences for found in _ALL.finditer(s.text)]
    counts = {count_of(found[1]) for _, found in said}
    for sentence in card.sentences if len(counts) == 1 else ():
        (n,) = counts
        for found in _FROM_ZERO.finditer(sentence.text.replace("\n", " ")):
            # Off by one; further off, the layers with SAEs are another number than the model's.
            if int(found[1]) == n:
                line = said[0][0].line_of(said[0][1].start())
                what = f"{found[0]!r}, and {said[0][1][0]!r} on line {line} end at {n - 1}"
                yield Finding(sentence.line_of(found.start(1)), what, "warn", found[0])


def _shares(sentence: Statement, found: re.Match[str], n: int) -> Iterator[Finding]:
    """`7, 13 and 19 of them (27%, 50% and 73%)`."""
    counts = [int(part) for part in re.findall(r"\d+", found[1])]
    shares = [*amounts(found[2])]
    if len(counts) != len(shares) or max(counts) > n:
        return
    broken = [
        (k, share) for k, share in zip(counts, shares, strict=True)
        if not share.may_be(Decimal(100 * k) / n)
    ]  # fmt: skip
    if broken:
        k, share = broken[0]
        what = f"{k} of {n} blocks are {shown(Decimal(100 * k) / n)}%, and {share.text} is printed"
        yield Finding(sentence.line_of(found.start(2)), what, "warn", found[0])
