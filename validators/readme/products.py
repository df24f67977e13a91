"""Counts that should multiply or agree: layers x architectures x conditions, expansion x d_in."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from validators.readme.amounts import COUNT, count_of
from validators.readme.card_text import CardText, Statement
from validators.readme.findings import Finding, Surroundings
from validators.readme.quantities import TIMES

_COUNT = r"(?<![\w.,/-])(\d{1,3}(?:,\d{3})+|\d{1,12})(?![\d]|[.,]\d)"
_UNIT = r"(?:[ \t]+[A-Za-z][\w-]{0,30}){0,2}"
_COUNTED = rf"{COUNT} (?:[a-z-]{{2,20}} ?){{1,3}}"
# `6 SAEs, 2 layers x 3 coefficients`: the axes right behind the number.
_AXES = re.compile(
    rf"(?<![\w.,/-])({COUNT}) (?:[A-Za-z-]{{2,20}} )?(?:SAEs|[Ss]parse [Aa]uto-?encoders)"
    rf" ?[,:(\u2014\u2013-]{{1,2}} ?((?:{_COUNTED}[x*\u00d7] ?){{1,3}}{_COUNTED})"
)
_EQUATION = re.compile(
    rf"(?<![\w.,/*\u00d7-])((?:\d[\d,]{{0,12}}{_UNIT}\s?{TIMES}\s?){{1,5}}\d[\d,]{{0,12}}{_UNIT})"
    rf"\s?=\s?(\d[\d,]{{0,15}})(?![\d]|\.\d|\s?{TIMES}\s?\d)"
)
_SAES = r"(?:SAEs?|[Ss]parse [Aa]uto-?encoders?)\b"
# How a card says how many SAEs it is about, at the beginning of a line.
_LEAD = re.compile(
    rf"^[ \t]*(?:[-*\u2022][ \t]+)?{_COUNT} {_SAES}"
    r"(?=\s+(?:across|trained on|o[fn] the residual)\b|\s*[\u2014\u2013(:]|\s+-\s|\s*$)"
)
_ACROSS = re.compile(rf"{_COUNT} {_SAES} (?:across|over|at|on|from) {_COUNT} layers\b")
_ARCHITECTURES = re.compile(rf"{_COUNT} (?:SAE )?architectures\b(:[^\n.;]*)?")
_CONDITIONS = re.compile(rf"{_COUNT} (?:training )?conditions\b(:[^\n.;]*)?")
_LAYERS = re.compile(rf"{_COUNT} layers\b:?\s*\(?((?:L\d{{1,3}}(?:,\s?|\s?and\s)?){{2,200}})")
# A further axis, or a grid with holes: the three counts need not multiply then.
_OTHER_AXIS = re.compile(
    r"\b(?:seeds?|variants?|widths?|sizes?|expansions|except|missing|without|original \+|STE)\b"
)
_D_IN = re.compile(rf"\bd_(?:in|model)`?\s?(?:=|:|is|\|)?\s?`?{_COUNT}(?![A-Za-z])")
_D_SAE = re.compile(rf"\bd_sae`?\s?(?:=|:|is|\|)?\s?`?{_COUNT}(?![A-Za-z])")
_EXPANSION = re.compile(
    r"(?:(?<![\w.-])(\d{1,4})[x\u00d7] expansion|"
    r"\b[Ee]xpansion(?: factor)?\s?(?:=|:|of|is|\|)?\s?(\d{1,4})(?![\d.])[x\u00d7]?)"
)
_FROM_TO = re.compile(rf"(?<![\w.-])(\d{{1,4}})[x\u00d7] \({_COUNT} ?(?:\u2192|->|to) ?{_COUNT}\)")
_W_ENC = re.compile(
    r"\bW_enc`?:?(?: *# *shape:)?[^\n\[]{0,24}(?:\[d_in, d_sae\] = )?\[(\d{1,7}), ?(\d{1,8})\]"
)


def lint_products(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Everything that is counted on the card against what the counts multiply to."""
    yield from _equations(card)
    yield from _grid(card)
    yield from _axes(card)
    yield from _lists(card)
    yield from _leads(card, known)
    yield from _sizes(card)


def _int(text: str) -> int:
    return int(text.replace(",", ""))


def _equations(card: CardText) -> Iterator[Finding]:
    for sentence in card.sentences:
        for found in _EQUATION.finditer(sentence.text):
            factors = [_int(part) for part in re.findall(r"(?<![\w])\d[\d,]*", found[1])]
            product, stated = math.prod(factors), _int(found[2])
            if product != stated:
                yield Finding(
                    sentence.line_of(found.start()),
                    f"{' x '.join(map(str, factors))} is {product}, not {stated}",
                    "fail",
                    found[0],
                )


def _grid(card: CardText) -> Iterator[Finding]:
    text = "\n".join(passage.text for passage in card.prose)
    across = {(_int(a), _int(b)) for a, b in _ACROSS.findall(text)}
    kinds = {_int(found[0]) for found in _ARCHITECTURES.findall(text)}
    conditions = {_int(found[0]) for found in _CONDITIONS.findall(text)}
    if len(across) != 1 or len(kinds) != 1 or len(conditions) != 1:
        return
    ((stated, layers),), (n_kinds,), (n_conditions,) = across, kinds, conditions
    product = layers * n_kinds * n_conditions
    if product == stated:
        return
    near = [s for s in card.sentences if _ACROSS.search(s.text)]
    beside = " ".join(s.text for s in card.sentences if abs(s.line - near[0].line) <= 4)
    is_certain = stated > product and not _OTHER_AXIS.search(beside)
    found = _ACROSS.search(near[0].text)
    assert found is not None
    yield Finding(
        near[0].line_of(found.start()),
        f"{layers} layers x {n_kinds} architectures x {n_conditions} conditions are {product}, "
        f"not {stated} SAEs",
        "fail" if is_certain else "warn",
        found[0],
    )


def _axes(card: CardText) -> Iterator[Finding]:
    for sentence in card.sentences:
        for found in _AXES.finditer(sentence.text.replace("\n", " ")):
            parts = re.split(r"(?<=[a-z ])[x*\u00d7] ?(?=\S)", found[2])
            counts = [count_of(n[0]) for part in parts if (n := re.match(COUNT, part.strip()))]
            product = math.prod(counts)
            rest = found.string[found.end() :][:30]
            is_whole = not re.search(
                r"\b(?:less|minus|except|without|but|plus|and|of which|only)\b|\+", rest
            )
            is_whole = is_whole and not re.search(r"\b(?:per|each|every)\b", found[2])
            if len(counts) == len(parts) > 1 and product != count_of(found[1]) and is_whole:
                what = f"{' x '.join(map(str, counts))} are {product}, not {found[1]} SAEs"
                line = sentence.line_of(found.start(2))
                first = sentence.line_of(found.start())
                beside = f" (line {first})" if first != line else ""
                yield Finding(line, what + beside, "warn", found[0])


def _lists(card: CardText) -> Iterator[Finding]:
    """As many as counted: "9 layers (L3, L4, ...)", "3 architectures: TopK, JumpReLU, Gated"."""
    for sentence in card.sentences:
        for found in _LAYERS.finditer(sentence.text):
            listed = re.findall(r"L\d{1,3}", found[2])
            if len(listed) != _int(found[1]):
                yield _miscounted(sentence, found, len(listed), "layers")
        for pattern, what in ((_ARCHITECTURES, "architectures"), (_CONDITIONS, "conditions")):
            for found in pattern.finditer(sentence.text):
                listed = _items(found[2] or "")
                if listed and len(listed) != _int(found[1]):
                    yield _miscounted(sentence, found, len(listed), what)


def _items(text: str) -> list[str]:
    """What a colon introduces; empty where that is no plain list."""
    plain = re.sub(r"\([^()]*\)", "", text.lstrip(":"))
    items = [item.strip() for item in re.split(r",\s?(?:and )?|\band\b|;", plain) if item.strip()]
    is_list = len(items) > 1 and all(len(item.split()) <= 2 for item in items)
    return items if is_list else []


def _miscounted(sentence: Statement, found: re.Match[str], n: int, what: str) -> Finding:
    return Finding(
        sentence.line_of(found.start()),
        f"{found[1]} {what} are counted, and {n} are listed",
        "warn",
        found[0],
    )


def _leads(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """The counts with which the card says what it is about, against each other and the folders."""
    leads = [
        (statement.line_of(found.start(1)), _int(found[1]), found[0].strip())
        for statement in card.statements
        if (found := _LEAD.search(statement.text))
    ]
    for line, n, excerpt in leads:
        if n != leads[0][1]:
            first = f"line {leads[0][0]} says {leads[0][1]}"
            yield Finding(line, f"{n} SAEs, and {first}", "warn", excerpt)
        elif known.n_saes and n != known.n_saes:
            what = f"{n} SAEs, and {known.n_saes} folders of this repository hold one"
            yield Finding(line, what, "warn", excerpt)


def _sizes(card: CardText) -> Iterator[Finding]:
    for statement in card.statements:
        for found in _FROM_TO.finditer(statement.text):
            times, small, large = _int(found[1]), _int(found[2]), _int(found[3])
            if times * small != large:
                what = f"{times} x {small} is {times * small}, not {large}"
                yield Finding(statement.line, what, "fail", found[0])
    d_in, d_sae = _stated(card, _D_IN), _stated(card, _D_SAE)
    expansion = _stated(card, _EXPANSION)
    if len(d_in) == len(d_sae) == len(expansion) == 1:
        (n_in,), (n_sae,), (times,) = d_in, d_sae, expansion
        if n_in * times != n_sae:
            yield Finding(
                d_sae[n_sae].line,
                f"d_sae is {n_sae}, and d_in {n_in} x {times} (line {expansion[times].line}) is "
                f"{n_in * times}",
                "fail",
                str(n_sae),
            )
    if len(d_in) == len(d_sae) == 1:
        (n_in,), (n_sae,) = d_in, d_sae
        for statement in card.statements:
            for found in _W_ENC.finditer(statement.text):
                shape = int(found[1]), int(found[2])
                if shape not in ((n_in, n_sae), (n_sae, n_in)):
                    what = f"W_enc {list(shape)}, with d_in {n_in} and d_sae {n_sae}"
                    yield Finding(statement.line, what, "fail", found[0])


def _stated(card: CardText, pattern: re.Pattern[str]) -> dict[int, Statement]:
    """Every value that the card gives, with the first line that does."""
    found: dict[int, Statement] = {}
    for statement in card.statements:
        for match in pattern.finditer(statement.text):
            value = next(_int(group) for group in match.groups() if group)
            found.setdefault(value, statement)
    return found
