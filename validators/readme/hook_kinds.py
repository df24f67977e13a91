"""Which activation a card names: its hooks, its modules and its hidden states, by the configs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from validators.readme.card_text import CardText, Statement
from validators.readme.findings import Finding, Surroundings
from validators.readme.hook_mentions import Mention

_KIND = re.compile(r"^blocks\.[^.]{1,30}\.((?:\w{1,40}\.){0,3}hook_\w{1,40})$")
_NUMBER = re.compile(r"\.(\d{1,4})(?:\.|$)")
_LAYER = re.compile(r"\b(?:[Ll]ayers? |L)(\d{1,3})\b")
_HIDDEN = re.compile(r"\bhidden_states\[(\d{1,3})\]")
# A line that says what the hook or the module is: a row, or a name with a colon.
_LABELLED = re.compile(
    r"^\W{0,6}(?:\w{1,30} ){0,3}(?:hook|hook point|module|site)s?\b[^\n:|]{0,24}"
    r"(?:: |:\*\* | \| )\W{0,3}",
    re.IGNORECASE,
)
_EXPLAINS = re.compile(
    r"\b(?:not|never|don't|first|last|final|embeddings?|instead|equals?|same|rather|input|wrong"
    r"|before|unlike|norm)\b",
    re.IGNORECASE,
)


def lint_hook_kinds(
    card: CardText, known: Surroundings, named: tuple[Mention, ...]
) -> Iterator[Finding]:
    """Hooks of no config, modules of another layer, hidden states of another block."""
    hooks = [sae.hook_name for sae in known.saes]
    kinds = {found[1] for name in hooks if name and (found := _KIND.search(name))}
    if not known.saes or None in hooks or len(kinds) != 1:
        return
    (kind,) = kinds
    lines = {statement.line: statement.text for statement in card.statements}
    # An SAE's id may begin with its hook's name.
    ids = {sae.sae_id for sae in known.saes}
    hooked = tuple(mention for mention in named if mention.name not in ids)
    yield from _hooks(hooked, kind, lines)
    layers = {sae.layer for sae in known.saes if sae.layer is not None}
    yield from _modules(named, {sae.module_path for sae in known.saes}, layers, lines)
    if kind in ("hook_resid_post", "hook_resid_pre"):
        entries = {layer + (kind == "hook_resid_post") for layer in layers}
        for sentence in card.sentences:
            yield from _hidden(sentence, entries, layers)


def _hooks(named: tuple[Mention, ...], kind: str, lines: dict[int, str]) -> Iterator[Finding]:
    of_lens = [
        (mention, found[1])
        for mention in named
        if mention.notation == "TransformerLens" and (found := _KIND.search(mention.name))
    ]
    right = {mention.line for mention, each in of_lens if each == kind}
    for mention, each in of_lens:
        is_labelled = mention.line not in right and _LABELLED.match(lines.get(mention.line, ""))
        is_said = not right or is_labelled
        is_id = each.startswith(f"{kind}_")
        if each != kind and is_said and not is_id and not mention.is_negated:
            what = f"{mention.name}, and every config has {kind}"
            yield Finding(mention.line, what, "warn", mention.name)


def _modules(
    named: tuple[Mention, ...], paths: set[str | None], layers: set[int], lines: dict[int, str]
) -> Iterator[Finding]:
    at = {*layers, *(int(found[1]) for path in paths if path and (found := _NUMBER.search(path)))}
    for mention in named if None not in paths else ():
        text = lines.get(mention.line, "")
        is_row = text.count(" | ") == 1 and _LABELLED.match(text)
        number = _NUMBER.search(mention.name)
        if mention.notation != "module path" or not is_row or number is None:
            continue
        if int(number[1]) not in at and not mention.is_negated:
            listed = ", ".join(sorted(path for path in paths if path)[:4])
            what = f"{mention.name}, and the configs have {listed}"
            yield Finding(mention.line, what, "warn", mention.name)


def _hidden(sentence: Statement, entries: set[int], layers: set[int]) -> Iterator[Finding]:
    """`layer 8 is hidden_states[8]`, where entry 0 is the embedding."""
    text = sentence.text.replace("\n", " ")
    spoken_of = {int(layer) for layer in _LAYER.findall(text)}
    if _EXPLAINS.search(text) or spoken_of - layers:
        return
    for found in _HIDDEN.finditer(text):
        if int(found[1]) not in entries and int(found[1]) > 0:
            listed = ", ".join(str(entry) for entry in sorted(entries)[:8])
            what = f"{found[0]}, and the SAEs read entry {listed} (0 is the embedding)"
            yield Finding(sentence.line_of(found.start()), what, "warn", found[0])
