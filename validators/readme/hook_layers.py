"""Hooks and module paths on a card against those of the configs, and against each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from validators.readme.card_text import CardText, Passage
from validators.readme.findings import Finding, Surroundings
from validators.readme.hook_kinds import lint_hook_kinds
from validators.readme.hook_mentions import Mention, mentions

_LAYER = re.compile(r"\.(\d{1,4})(?:\.|$)")
_PATH = re.compile(r"(.+?)\.\d{1,4}$")
# What one writes between two names of one place.
_EQUALS = re.compile(
    r"^[`)\s]{0,3}(?:\(?=|\(?i\.e\.,?|\bis\b|\(?equals|\(?the|or|,? which is|\(?that is)"
    r"[\s`]{0,3}(?:the )?(?:output of )?[\s`]{0,3}$"
)
_N_BLOCKS = re.compile(
    r"(?<![\w.,])(\d{1,3}) blocks \(L?(\d{1,3}) (?:to|through|-|\u2013) L?(\d{1,3})\)"
)


def lint_hook_layers(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Paths of other classes or layers than the configs', pairs of names for two places."""
    named = mentions(card)
    yield from _paths(named, known)
    yield from _pairs(card)
    yield from lint_hook_kinds(card, known, named)
    if any(mention.notation == "TransformerLens" for mention in named):
        for statement in card.sentences:
            for found in _N_BLOCKS.finditer(statement.text):
                n, first, last = (int(group) for group in found.groups())
                if (first, last) == (1, n):
                    what = f"{found[0]!r}, and hooks count blocks from 0 to {n - 1}"
                    yield Finding(statement.line_of(found.start()), what, "warn", found[0])
                elif last - first + 1 != n:
                    what = f"{found[0]!r} are {last - first + 1} blocks"
                    yield Finding(statement.line_of(found.start()), what, "fail", found[0])


def _layer(name: str) -> int | None:
    found = _LAYER.search(name)
    return int(found[1]) if found else None


def _paths(named: tuple[Mention, ...], known: Surroundings) -> Iterator[Finding]:
    in_configs = [sae.module_path for sae in known.saes]
    paths = {found[1] for path in in_configs if path and (found := _PATH.match(path))}
    layers = {sae.layer for sae in known.saes if sae.layer is not None}
    if None in in_configs or len(paths) != 1 or known.blocks_path is not None:
        return
    (blocks,) = paths
    for mention in named:
        if mention.blocks_path is None or mention.is_negated or mention.notation != "module path":
            continue
        if mention.blocks_path.removeprefix("model.") != blocks.removeprefix("model."):
            what = f"{mention.name}, and the configs have {in_configs[0]}"
            yield Finding(mention.line, what, "warn", mention.name)
        elif layers and (layer := _layer(mention.name)) is not None and layer > max(layers):
            listed = ", ".join(str(each) for each in sorted(layers)[:8])
            what = f"{mention.name}, and the SAEs are of layers {listed}"
            yield Finding(mention.line, what, "warn", mention.name)


def _pairs(card: CardText) -> Iterator[Finding]:
    """Two notations of one place, in a row or with an equals sign: they name one layer."""
    for statement in card.statements:
        found = mentions(CardText(passages=(_alone(statement.text, statement.line),)))
        for first, second in pairwise(found):
            if {first.notation, second.notation} != {"TransformerLens", "module path"}:
                continue
            start = statement.text.find(first.name) + len(first.name)
            between = statement.text[start : statement.text.find(second.name, start)]
            hook = first.name if first.notation == "TransformerLens" else second.name
            layers = _layer(first.name), _layer(second.name)
            is_pair = _EQUALS.match(between) or between.strip("` ") == "|"
            differ = None not in layers and layers[0] != layers[1]
            if is_pair and differ and hook.endswith("hook_resid_post"):
                what = f"{first.name} and {second.name} are two places"
                yield Finding(statement.line, what, "warn", second.name)


def _alone(text: str, line: int) -> Passage:
    return Passage("paragraph", line, text, text)
