"""Statistics listed with their values: mean and spread, digits, examples, few vectors."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from decimal import Decimal

from validators.readme.card_text import CardText, Statement
from validators.readme.findings import Finding
from validators.readme.quantities import printed, shown

_F = r"(-?\d{1,6}(?:\.\d{1,20})?)"
_VALUE = re.compile(rf"\b([A-Za-z][\w ]{{1,30}}?) ?= ?{_F}(?!\w|[.,]\d)")
_MEAN_STD = re.compile(
    rf"\b([\w ]{{0,30}}?)\bmean ?(?:\u00b1|\+/-) ?(?:std|sd|s\.d\.)[\w ]{{0,12}} ?[=:] ?"
    rf"{_F} ?(?:\u00b1|\+/-) ?{_F} ?\( ?n ?= ?(\d{{1,4}}) ?\)",
    re.IGNORECASE,
)
_LONG = re.compile(r"(?<![\w.])-?\d{1,6}\.\d{9,20}(?!\w|\.\d)")
_QUOTE = re.compile(r"\"([^\n]{40,2000})\"\s*$")
_FEATURE = re.compile(r"\b(?:feature_id|feature|latent)\s?[=#: ]\s?(\d{1,9})\b")
_ALIVE = re.compile(
    r"\b(?:alive|active) (?:features|latents)\b[ |:=]{1,4}(\d[\d,]{0,9})(?![\d,/]| of)"
)
_D_SAE = re.compile(r"\bd_sae\b[`]?[ |:=]{1,4}`?(\d[\d,]{0,9})")
_N_TRAIN = re.compile(
    r"\b(?:num(?:ber of)?|n)[ _]?training (?:activations|vectors|samples)\b"
    r"[ |:=]{1,4}(\d[\d,]{0,12})"
)
_EV = re.compile(r"\bexplained[_ ]variance\b[ |:=]{1,4}(0?\.\d{1,6}|1\.0+|\d{1,2}(?:\.\d)?%)", re.I)
_HELD_OUT = re.compile(
    r"\bheld[- ]out\b[^.\n]{0,60}\b(?:variance|EV)\b|\bEV, train\b"
    r"|\b(?:eval|test|validation)[ _](?:set|split|vectors|activations)\b",
    re.IGNORECASE,
)
_REACH = 12
_FEW_ALIVE = Decimal("0.1")


def lint_spread(card: CardText) -> Iterator[Finding]:
    """Mean and spread from the listed values; digits without meaning; repeated examples."""
    statements = card.statements
    for at, statement in enumerate(statements):
        for found in _MEAN_STD.finditer(statement.text):
            yield from _mean_std(statement, found, statements[max(0, at - _REACH) : at])
    for sentence in card.sentences:
        for found in _LONG.finditer(sentence.text):
            what = f"{found[0]} has {len(found[0].partition('.')[2])} decimals"
            yield Finding(sentence.line_of(found.start()), what, "note", found[0])
    yield from _examples(card)
    yield from _few_vectors(card)


def _mean_std(
    statement: Statement, found: re.Match[str], before: tuple[Statement, ...]
) -> Iterator[Finding]:
    """Against as many values of one name, with the word that stands before "mean"."""
    word = found[1].strip().lower().split()[-1:] or [""]
    by_name: dict[str, list[Decimal]] = {}
    for other in before:
        for value in _VALUE.finditer(other.text):
            if word[0] in value[1].lower().split():
                by_name.setdefault(value[1].strip(), []).append(Decimal(value[2]))
    fitting = [values for values in by_name.values() if len(values) == int(found[4]) > 1]
    if len(fitting) != 1 or not word[0]:
        return
    (values,) = fitting
    mean, std = printed(found[2].lstrip("-")), printed(found[3])
    exact = abs(statistics.mean(values))
    listed = ", ".join(str(value) for value in values[:6])
    # The listed values were rounded as well.
    slack = Decimal(1).scaleb(-mean.decimals) / 2
    if not mean.may_be(exact - slack, exact + slack):
        what = f"{mean.text} is printed for the mean of {listed}, which is {shown(exact, 4)}"
        yield Finding(statement.line, what, "fail", found[2])
    sample, population = statistics.stdev(values), statistics.pstdev(values)
    beside = f"{std.text} for {listed}: n - 1 gives {shown(sample, 3)}, n {shown(population, 3)}"
    if std.may_be(sample - slack, sample + slack):
        return
    if std.may_be(population - slack, population + slack):
        yield Finding(statement.line, f"{beside}; with so few, divide by n - 1", "warn", found[3])
    else:
        yield Finding(statement.line, beside, "fail", found[3])


def _examples(card: CardText) -> Iterator[Finding]:
    """The same long example under two latents."""
    seen: dict[str, tuple[str, int]] = {}
    feature = ""
    for statement in card.statements:
        if found := _FEATURE.search(statement.text):
            feature = found[1]
        quote = _QUOTE.search(statement.text)
        if quote and feature:
            other, line = seen.setdefault(quote[1], (feature, statement.line))
            if other != feature:
                what = f"the example of {feature} is that of {other} on line {line}"
                yield Finding(statement.line, what, "warn", quote[1])


def _few_vectors(card: CardText) -> Iterator[Finding]:
    text = "\n".join(passage.text for passage in card.prose)
    sizes = {int(n.replace(",", "")) for n in _D_SAE.findall(text)}
    if len(sizes) != 1:
        return
    (d_sae,) = sizes
    n_train = {int(n.replace(",", "")) for n in _N_TRAIN.findall(text)}
    for statement in card.statements:
        alive = _ALIVE.search(statement.text)
        if alive and (n := int(alive[1].replace(",", ""))) < _FEW_ALIVE * d_sae:
            share = shown(100 - Decimal(100 * n) / d_sae, 1)
            what = f"{n} of {d_sae} latents are alive, so {share}% are dead"
            yield Finding(statement.line, what, "warn", alive[0])
        ev = _EV.search(statement.text)
        if ev and len(n_train) == 1 and min(n_train) < d_sae and not _HELD_OUT.search(text):
            what = (
                f"{ev[0]!r} with {min(n_train)} training vectors for {d_sae} latents, "
                "and no held-out number"
            )
            yield Finding(statement.line, what, "warn", ev[0])
