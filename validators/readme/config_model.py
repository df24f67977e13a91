"""The base model that a card names, against the one that the configs name, and its title."""

from __future__ import annotations

import re
from collections.abc import Iterator

from validators.readme.card_text import CardText
from validators.readme.findings import Finding, Surroundings

_SIZE = re.compile(r"(?<![a-z\d.])(\d{1,4}(?:\.\d{1,3})?)([bm])(?![a-z\d])")
# GPT-2's sizes have names; the plain one is the small one.
_NAMED = re.compile(r"gpt-?2(?:[- ](small|medium|large|xl))?\b")
_TUNED = re.compile(r"(?<![a-z])(instruct|chat|it|sft|dpo)(?![a-z])")
_FAMILY = re.compile(r"[a-z]{3,}")


def lint_base_model(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Another size, or a tuned one for the base one: in the metadata, and in the title."""
    named = (card.metadata or {}).get("base_model")
    listed = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    names = [name for name in listed if isinstance(name, str)]
    in_configs = {sae.model_name for sae in known.saes if sae.model_name}
    if len(names) == 1 and len(in_configs) == 1:
        (model,) = in_configs
        if differ(names[0], model):
            what = f"base_model is {names[0]}, and the configs name {model}"
            yield Finding(line_of_key(card, "base_model"), what, "warn", names[0])
    reference = next(iter(in_configs), None) if len(in_configs) == 1 else None
    reference = reference or (names[0] if len(names) == 1 else None)
    title = next((p for p in card.passages if p.kind == "heading" and p.level == 1), None)
    if title is None or reference is None:
        return
    family = _FAMILY.match(reference.rpartition("/")[2].lower())
    for found in re.finditer(r"[\w.-]*\d[\w.-]*(?: \d[\w.]*[BMbm]\b)?", title.text):
        text = found[0].lower()
        sizes = _size(text), _size(reference)
        if family and text.startswith(family[0]) and all(sizes) and sizes[0] != sizes[1]:
            what = f"the title names {found[0]}, and the base model is {reference}"
            yield Finding(title.line, what, "warn", found[0])


def differ(first: str, second: str) -> bool:
    """Whether two names cannot mean one model: size or generation differs, or one is tuned."""
    sizes = _size(first), _size(second)
    if all(sizes) and sizes[0] != sizes[1]:
        return True
    if _are_generations(first, second):
        return True
    tuned = [_TUNED.search(name.rpartition("/")[2].lower()) for name in (first, second)]
    return (tuned[0] is None) != (tuned[1] is None)


def _generation(name: str) -> tuple[str, str] | None:
    """`smollm`, `2` for SmolLM2-135M; the sizes have to be there, or it may be any short name."""
    found = re.match(r"([a-z]{3,20})(\d?(?:\.\d)?)-", name.rpartition("/")[2].lower())
    return (found[1], found[2]) if found and _size(name) else None


def _are_generations(first: str, second: str) -> bool:
    """SmolLM-135M and SmolLM2-135M; not Llama-3.2-1B and Llama3.2-1B."""
    of_first, of_second = _generation(first), _generation(second)
    if of_first is None or of_second is None or of_first[0] != of_second[0]:
        return False
    numbers = {of_first[1], of_second[1]}
    elsewhere = {*re.split(r"[-_/]", first.lower()), *re.split(r"[-_/]", second.lower())}
    return len(numbers) == 2 and not numbers & elsewhere


def line_of_key(card: CardText, key: str) -> int:
    """The line of a key of the front matter; its first line where it cannot be told."""
    return card.metadata_lines.get(key, 1)


def _size(name: str) -> str | None:
    text = name.rpartition("/")[2].lower()
    if gpt2 := _NAMED.search(text):
        return gpt2[1] or "small"
    sizes = _SIZE.findall(text)
    return "".join(sizes[0]) if len(set(sizes)) == 1 else None
