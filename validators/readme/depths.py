"""Depths in percent: which convention they follow, and whether it is one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal

from validators.readme.card_text import CardText
from validators.readme.findings import Finding, Surroundings
from validators.readme.quantities import Printed, printed, shown

_DEPTH = re.compile(
    r"\b(?:L|[Ll]ayer )(\d{1,3}) ?[(,|] ?(?:at )?([~\u2248]?\d{1,3}(?:\.\d{1,4})?) ?% "
    r"(?:of the )?depth\b"
)
_N_LAYERS = re.compile(
    r"(?<![\w.,])(\d{1,3})(?:-layer\b| transformer (?:layers|blocks)\b)"
    r"|\bhas (\d{1,3}) (?:transformer )?(?:blocks|layers)\b|\bparams(?:eters)?, (\d{1,3}) layers\b"
)
# What rendered cards say of their depths, and what others say in fewer words.
_SAYS = re.compile(
    r"\b[Dd]epth is the share of (?:the model's )?blocks (?:that the activation has )?passed\b"
)
_MOST_LAYERS = 300

Convention = Callable[[int, int], Decimal]
# Layer L of n, counted from 0: blocks passed, blocks before, steps between the first and the last.
_CONVENTIONS: dict[str, Convention] = {
    "(L + 1)/n": lambda layer, n: Decimal(100 * (layer + 1)) / n,
    "L/n": lambda layer, n: Decimal(100 * layer) / n,
    "L/(n - 1)": lambda layer, n: Decimal(100 * layer) / max(n - 1, 1),
}
_GAPS = "L/(n - 1)"

Depth = tuple[int, str, int, Printed]


def layers_of_model(card: CardText, known: Surroundings) -> int | None:
    """Blocks of the base model: by the manifest, else by the card where it has one number."""
    if known.n_layers is not None:
        return known.n_layers
    text = "\n".join(passage.text for passage in card.prose)
    found = {int(next(g for g in m.groups() if g)) for m in _N_LAYERS.finditer(text)}
    return found.pop() if len(found) == 1 else None


def lint_depths(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Each depth against the conventions in use, and all of them against each other."""
    depths = [*_in_sentences(card), *_in_tables(card)]
    if not depths:
        return
    n = layers_of_model(card, known)
    if n is None:
        yield from _without_number(depths)
        return
    shared = set(_CONVENTIONS)
    if any(_SAYS.search(sentence.text.replace("\n", " ")) for sentence in card.sentences):
        shared = {"(L + 1)/n"}
    for line, excerpt, layer, percent in depths:
        fitting = {name for name, f in _CONVENTIONS.items() if percent.may_be(f(layer, n))}
        computed = ", ".join(f"{name} {shown(f(layer, n), 1)}%" for name, f in _CONVENTIONS.items())
        beside = f"layer {layer} of {n} at {percent.text}%"
        if layer >= n:
            yield Finding(line, f"layer {layer}, counted from 0, of {n}", "warn", excerpt)
        elif not fitting:
            yield Finding(line, f"{beside}, and it is by {computed}", "warn", excerpt)
        elif layer == n - 1 and percent.high < 100:
            what = f"{beside}, though it is the last one: a reader takes 100% for the end"
            yield Finding(line, what, "warn", excerpt)
        elif not shared & fitting:
            what = f"{beside} is {min(fitting)}, and the card's depths are {min(shared)}"
            yield Finding(line, what, "warn", excerpt)
        elif fitting == {_GAPS}:
            yield Finding(line, f"{beside} is {_GAPS}; the share of blocks is by {computed}",
                          "note", excerpt)  # fmt: skip
        shared = shared & fitting or shared


def _without_number(depths: list[Depth]) -> Iterator[Finding]:
    """Whether there is any number of layers with which one convention gives all depths."""
    for convention in _CONVENTIONS.values():
        for n in range(max(layer for _, _, layer, _ in depths) + 1, _MOST_LAYERS):
            if all(percent.may_be(convention(layer, n)) for _, _, layer, percent in depths):
                return
    line, excerpt, _, _ = depths[0]
    said = ", ".join(f"L{layer} {percent.text}%" for _, _, layer, percent in depths[:6])
    yield Finding(line, f"{said}: of no number of layers by one convention", "warn", excerpt)


def _in_sentences(card: CardText) -> Iterator[Depth]:
    for passage in card.prose:
        for sentence in passage.sentences:
            for found in _DEPTH.finditer(sentence.text):
                line = sentence.line_of(found.start())
                yield line, found[0], int(found[1]), printed(found[2])


def _in_tables(card: CardText) -> Iterator[Depth]:
    for passage in card.prose:
        names = [cell.lower() for cell in passage.header]
        if passage.kind != "row" or "layer" not in names or "depth" not in names:
            continue
        cells = dict(zip(names, passage.cells, strict=False))
        layer = re.fullmatch(r"L?(\d{1,3})", cells.get("layer", ""))
        depth = re.fullmatch(r"([~\u2248]?\d{1,3}(?:\.\d{1,4})?) ?%", cells.get("depth", ""))
        if layer and depth:
            yield passage.line, depth[0], int(layer[1]), printed(depth[1])
