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


# Before it `SAE.from_pretrained` returned the SAE, its config and its sparsity in one tuple.
_ONE_SAE = 6
_REQUIRES = re.compile(
    r"\bsae[-_]lens`? ?(?:>=|\u2265|==|~=) ?(\d{1,2})(?:\.\d{1,4}){0,2}(?![\d.]*,? ?<)"
)
_LOADS = re.compile(r"^\s*(\w{1,40}) = SAE\.from_pretrained\((?!.*\)\s*\[0\])")


def lint_version_floors(card: CardText) -> Iterator[Finding]:
    """Each floor that is below the first version with what it is said to suffice for."""
    yield from _takes_one(card)
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


def _takes_one(card: CardText) -> Iterator[Finding]:
    """`sae-lens>=3.0`, and code that takes what is loaded for the SAE itself."""
    code = [s for p in card.passages if p.kind == "code" for s in p.text.split("\n")]
    loaded = [found[1] for line in code if (found := _LOADS.match(line))]
    text = "\n".join(code)
    used = [name for name in loaded if re.search(rf"\b{name}\.(?:encode|decode|cfg)\b", text)]
    for statement in card.statements if used else ():
        for found in _REQUIRES.finditer(statement.text):
            if int(found[1]) < _ONE_SAE:
                what = f"{found[0]}, and before {_ONE_SAE}.0 from_pretrained returned a tuple"
                yield Finding(statement.line, what, "warn", found[0])


def _floor(line: int, excerpt: str, names: str, version: str) -> Iterator[Finding]:
    parts = tuple(int(part) for part in version.split("."))
    stated = (*parts, *(0,) * (3 - len(parts)))
    for name in re.findall(r"topk|jumprelu|gated", names.lower()):
        if stated < FIRST[name]:
            first = ".".join(str(part) for part in FIRST[name])
            what = f"SAELens {version} for {name}, which came with {first}"
            yield Finding(line, what, "warn", excerpt)
