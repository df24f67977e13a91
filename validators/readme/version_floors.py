"""Versions of SAELens that a card asks for, against the first that has the architecture.

First releases, by SAELens' git tags: gated 3.6.0 (#188), topk 3.9.0 (#201), jumprelu 3.14.0 (#251).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from validators.readme.card_text import CardText
from validators.readme.findings import Finding

FIRST = {"gated": (3, 6, 0), "topk": (3, 9, 0), "jumprelu": (3, 14, 0)}

_AT_LEAST = r"(?:\u2265|>=|==|~=)\s?v?(\d{1,3}(?:\.\d{1,4}){0,2})"
_NAMES = r"((?:topk|jumprelu|gated)(?:\s?(?:/|,|and|or)\s?(?:topk|jumprelu|gated)){0,3})"
_NAMED_FIRST = re.compile(
    rf"{_NAMES}(?: ?architectures?)?\s?[:|]?\s?SAE ?Lens\s?\|?\s?{_AT_LEAST}", re.IGNORECASE
)
_VERSION_FIRST = re.compile(
    rf"{_AT_LEAST},? (?:is )?(?:required |needed )?for {_NAMES}", re.IGNORECASE
)


_SINCE = re.compile(
    r"\b(topk|jumprelu|gated)\b((?:(?!\btopk\b|\bjumprelu\b|\bgated\b)[^.;\n]){0,60}?)"
    r"\bsince (?:SAE ?Lens |version |v)?(\d{1,3}(?:\.\d{1,4}){1,2})",
    re.IGNORECASE,
)


# The first release of transformers with each class, by its release notes.
_CLASSES = {
    "llama": (4, 28), "mistral": (4, 34), "qwen2": (4, 37), "gemma": (4, 38), "gemma2": (4, 42),
    "gemma3": (4, 50), "qwen3": (4, 51),
}  # fmt: skip
_TRANSFORMERS = re.compile(
    rf"\btransformers`?\s?{_AT_LEAST},?\s?\(?"
    r"(?:(?:the )?first (?:release|version) (?:with|that has)|needed for|required for|for) "
    r"(Llama|Mistral|Qwen[- ]?[23]|Gemma[- ]?[23]?)(?![\w.-])",
    re.IGNORECASE,
)


def lint_version_floors(card: CardText) -> Iterator[Finding]:
    """Each floor that is below the first version with what it is said to suffice for."""
    for statement in card.statements:
        for found in _NAMED_FIRST.finditer(statement.text):
            yield from _floor(statement.line, found[0], found[1], found[2])
        for found in _TRANSFORMERS.finditer(statement.text):
            first = _CLASSES.get(re.sub(r"[- ]", "", found[2].lower()))
            parts = tuple(int(part) for part in found[1].split("."))
            if first and parts[:2] < first:
                at = ".".join(map(str, first))
                what = f"transformers {found[1]} for {found[2]}, which came with {at}"
                yield Finding(statement.line, what, "warn", found[0])
        if "lens" in statement.text.lower():
            for found in _VERSION_FIRST.finditer(statement.text):
                yield from _floor(statement.line, found[0], found[2], found[1])
            for found in _SINCE.finditer(statement.text):
                yield from _floor(statement.line, found[0], found[1], found[3])


def _floor(line: int, excerpt: str, names: str, version: str) -> Iterator[Finding]:
    parts = tuple(int(part) for part in version.split("."))
    stated = (*parts, *(0,) * (3 - len(parts)))
    for name in re.findall(r"topk|jumprelu|gated", names.lower()):
        if stated < FIRST[name]:
            first = ".".join(str(part) for part in FIRST[name])
            what = f"SAELens {version} for {name}, which came with {first}"
            yield Finding(line, what, "warn", excerpt)
