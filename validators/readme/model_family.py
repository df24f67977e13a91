"""The architecture that a card gives its base model: one, and the one that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator

from validators.readme.card_text import CardText
from validators.readme.findings import Finding, Surroundings

_FAMILY = re.compile(
    r"\b(GPT-NeoX|GPT-?2|GPT-J|Llama[ -]?[123]?|Gemma[ -]?[1234]?|Qwen[ -]?[123]?|Mistral|NanoChat)"
    r"(?:-style|-like)?[ -](?:base model\b|architecture\b)",
    re.IGNORECASE,
)
_COMPARED = re.compile(r"\b(?:not|unlike|than|from|as in|except|of|like)(?: the| an?)?\s*$", re.I)
# transformers' model types of each family.
_TYPES = {
    "gptneox": ("gpt_neox",),
    "gpt2": ("gpt2",),
    "gptj": ("gptj",),
    "llama": ("llama",),
    "gemma": ("gemma", "gemma2", "gemma3", "gemma3_text", "gemma4", "gemma4_text"),
    "qwen": ("qwen2", "qwen3"),
    "mistral": ("mistral",),
    "nanochat": ("nanochat",),
}


def lint_model_family(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Each family that the card names, against the others and the manifest's model type."""
    named: dict[str, tuple[int, str]] = {}
    for sentence in card.sentences:
        for found in _FAMILY.finditer(sentence.text):
            if _COMPARED.search(sentence.text[: found.start()][-20:]):
                continue
            line = sentence.line_of(found.start())
            family = _plain(found[1])
            named.setdefault(family, (line, found[0]))
            if known.model_type is not None:
                if known.model_type not in _TYPES[family]:
                    what = f"{found[0]!r}, and transformers has it as {known.model_type!r}"
                    yield Finding(line, what, "warn", found[0])
                continue
            first, at = next(iter(named.items()))
            if family != first:
                what = f"{found[0]!r}, and {at[1]!r} on line {at[0]}"
                yield Finding(line, what, "warn", found[0])


def _plain(name: str) -> str:
    plain = re.sub(r"[ -]", "", name.lower())
    return plain if plain in _TYPES else plain.rstrip("1234")
