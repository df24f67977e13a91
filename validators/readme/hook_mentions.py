"""Hook names and module paths on a card: one notation for `hook_name`, and paths that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from validators.readme.card_text import CardText
from validators.readme.findings import Finding, Surroundings

Notation = Literal["TransformerLens", "module path", "neither"]

_INDEX = r"(?:\{\w{1,30}\}|\d{1,4}|[LlN]\b|<\w{1,30}>|\*)"
_LISTS = r"(?:(?:\w{1,40}\.){0,3}(?:layers|h|blocks|decoder_layers))"
_NAME = re.compile(
    rf"(?<![\w.])(?:blocks\.{_INDEX}\.(?:\w{{1,40}}\.){{0,4}}hook_\w{{1,40}}"
    rf"|(?:model|transformer|gpt_neox|backbone|language_model)\.{_LISTS}\.{_INDEX}"
    rf"(?:\.\w{{1,40}}){{0,5}})"
)
# What the card says that `hook_name` is: the name stands shortly behind the key.
_STATES = re.compile(
    r"(?<!\w)hook_name`?\"?\]?(?: field)?(?: in `?cfg\.json`?)?"
    r"[^\n.;]{0,40}?(?:=|:|is|e\.g\.)?[^\n.;]{0,8}$"
)
_NEGATED = re.compile(r"\b(?:not|never|rather than|instead of|unlike)\W{1,3}$")
_OF_SAES = re.compile(r"\bSAEs?\b|\b[Ss]parse [Aa]uto-?encoders?\b")
# L0, L1 and L2 are norms, and a letter with a number may be anything where no layer is spoken of.
_LAYER = re.compile(r"\b[Ll]ayer \d{1,3}\b|\bL(?:[3-9]|\d{2})\b(?=.*\blayer)|(?<=layer )L\d{1,2}\b")


@dataclass(frozen=True)
class Mention:
    """A hook name or a module's path.

    Attributes:
        line: of README.md.
        name: as it stands there.
        is_hook_name: the card says that this is what `hook_name` holds.
        is_negated: it says that the name is something else.
    """

    line: int
    name: str
    is_hook_name: bool
    is_negated: bool

    @property
    def notation(self) -> Notation:
        """Whose name it is; a path that ends in a hook of TransformerLens is nobody's."""
        if self.name.startswith("blocks."):
            return "TransformerLens"
        return "neither" if ".hook_" in self.name else "module path"

    @property
    def blocks_path(self) -> str | None:
        """What stands before the layer, in a module's path."""
        if self.notation == "TransformerLens":
            return None
        return re.split(rf"\.{_INDEX}(?:\.|$)", self.name)[0]


def mentions(card: CardText) -> tuple[Mention, ...]:
    """Every name and path on the card, code included."""
    found = []
    for statement in card.statements:
        for match in _NAME.finditer(statement.text):
            before = statement.text[: match.start()]
            name = match[0].rstrip(".").removesuffix(".output").removesuffix(".input")
            found.append(
                Mention(
                    statement.line,
                    name,
                    _STATES.search(before[-80:]) is not None,
                    _NEGATED.search(before[-20:]) is not None,
                )
            )
    return tuple(found)


def lint_hook_names(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Names of no library, `hook_name` in two notations, paths of another class, no name at all."""
    named = mentions(card)
    for mention in named:
        if mention.notation == "neither" and not mention.is_negated:
            what = f"{mention.name}: neither a module's path nor a hook of TransformerLens"
            yield Finding(mention.line, what, "fail", mention.name)
    yield from _two_notations(named, known)
    yield from _other_paths(named, known)
    if not named:
        yield from _no_name(card)


def _two_notations(named: tuple[Mention, ...], known: Surroundings) -> Iterator[Finding]:
    stated = [mention for mention in named if mention.is_hook_name and not mention.is_negated]
    first: dict[Notation, Mention] = {}
    for mention in stated:
        first.setdefault(mention.notation, mention)
    for mention in stated if len(first) > 1 else ():
        others = [other for notation, other in first.items() if notation != mention.notation]
        if mention.notation == "neither":
            continue  # reported by itself
        beside = " and ".join(f"{other.name} on line {other.line}" for other in others)
        what = f"hook_name is {mention.name}, and {beside}"
        yield Finding(mention.line, what, "warn", mention.name)
    if len(first) == 1 and known.hook_names:
        in_configs = {_notation_of(name) for name in known.hook_names}
        if in_configs == {"TransformerLens"} != set(first):
            what = f"hook_name is {stated[0].name}, and the configs have {known.hook_names[0]}"
            yield Finding(stated[0].line, what, "warn", stated[0].name)


def _notation_of(name: str) -> Notation:
    return Mention(0, name, True, False).notation


def _other_paths(named: tuple[Mention, ...], known: Surroundings) -> Iterator[Finding]:
    """Module paths of two classes, or of another class than the base model's."""
    paths = [m for m in named if m.blocks_path is not None and not m.is_negated]
    if known.blocks_path is not None:
        for mention in paths:
            if mention.blocks_path != known.blocks_path:
                what = f"{mention.name}, and the blocks of the base model are {known.blocks_path}.L"
                yield Finding(mention.line, what, "fail", mention.name)
    elif paths:
        first = paths[0]
        seen = {first.blocks_path}
        for mention in paths:
            if mention.blocks_path not in seen:
                seen.add(mention.blocks_path)
                what = f"{mention.name}, and {first.name} on line {first.line}"
                yield Finding(mention.line, what, "warn", mention.name)


def _no_name(card: CardText) -> Iterator[Finding]:
    layers = [
        (statement.line_of(found.start()), found[0])
        for statement in card.sentences
        if (found := _LAYER.search(statement.text))
    ]
    if layers and any(_OF_SAES.search(passage.text) for passage in card.prose):
        line, excerpt = layers[0]
        what = f"{excerpt!r}, and no hook name or module path on the card says which activation"
        yield Finding(line, what, "warn", excerpt)
