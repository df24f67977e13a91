"""What the name of a folder says of the SAE in it, where it says so unmistakably."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")

_START, _END = r"(?:^|[_\-./ ])", r"(?=$|[_\-./ ])"

# Words for architectures, with what SAELens calls an SAE of that kind once it is saved.
_WORDS: dict[str, tuple[str, ...]] = {
    "abstopk": ("abstopk",),
    "batchtopk": ("jumprelu", "batchtopk", "topk"),
    "gated": ("gated",),
    "jumprelu": ("jumprelu", "jumprelu_transcoder", "jumprelu_skip_transcoder"),
    "matchingpursuit": ("matching_pursuit",),
    "matryoshka": ("jumprelu", "matryoshka_batchtopk", "topk", "standard"),
    "matryoshkabatchtopk": ("jumprelu", "matryoshka_batchtopk", "topk"),
    "relu": ("standard", "transcoder", "skip_transcoder"),
    "standard": ("standard",),
    "topk": ("topk", "abstopk"),
    "vanilla": ("standard",),
}
_ARCHITECTURE = re.compile(
    _START + r"(abs[_-]?topk|batch[_-]?top[_-]?k|gated|jump[_-]?relu|matching[_-]?pursuit|"
    r"matryoshka(?:[_-]?batch[_-]?top[_-]?k)?|relu|standard|top[_-]?k|vanilla)\d{0,5}" + _END,
    re.IGNORECASE,
)
_LAYERS = (
    # A capital L with a number, but not L0, L1 or L2 with the norm's value after it.
    re.compile(_START + r"L(?![012][_\-=]\d)(\d{1,3})" + _END),
    re.compile(_START + r"layers?[_\-.= ]?(\d{1,3})" + _END, re.IGNORECASE),
    re.compile(_START + r"(?:blocks|h)[._](\d{1,3})" + _END),
)
_K = re.compile(_START + r"(?:k|top[_-]?k(?=\d)|top[_-]k[_-]?(?=\d))[_\-=]?(\d{1,5})" + _END)
_D_SAE = re.compile(_START + r"(?:d_sae|dsae|width)[_\-=]?(\d{3,8})" + _END)
_WIDTH = re.compile(_START + r"width[_\-=]?(\d{1,4})(k|m)" + _END, re.IGNORECASE)
_POWER = re.compile(_START + r"width[_\-=]?2pow(\d{1,2})" + _END)
# Below 4, "2x" mostly is of something else than the latents.
_EXPANSION = re.compile(
    _START + r"(?:x([4-9]|\d{2,3})|([4-9]|\d{2,3})x|expansion[_\-=]?(\d{1,3}))" + _END
)


@dataclass(frozen=True)
class NamedFacts:
    """What a folder's name says; None where it says nothing, or two things.

    Attributes:
        architectures: what SAELens may call it; several where a word leaves that open.
        layer: index of the block, from 0.
        k: active latents per vector.
        d_sae: smallest and largest number of latents that are meant (16k: 16000 to 16384).
        expansion: d_sae / d_in.
    """

    architectures: tuple[str, ...] | None
    layer: int | None
    k: int | None
    d_sae: tuple[int, int] | None
    expansion: int | None


def facts_of(folder: str) -> NamedFacts:
    """Read a folder's path; a fact that it states twice, and differently, is none."""
    layers = {int(match[1]) for pattern in _LAYERS for match in pattern.finditer(folder)}
    expansions = {int(next(filter(None, m.groups()))) for m in _EXPANSION.finditer(folder)}
    return NamedFacts(
        architectures=_architectures(folder),
        layer=_only(layers),
        k=_only({int(match[1]) for match in _K.finditer(folder)}),
        d_sae=_width(folder),
        expansion=_only(expansions),
    )


def _architectures(folder: str) -> tuple[str, ...] | None:
    words = {re.sub(r"[_-]", "", match[1].lower()) for match in _ARCHITECTURE.finditer(folder)}
    kind = _only({_WORDS[word] for word in words})
    if kind is None:
        return None
    # In a folder of transcoders the word names the activation, and SAELens' name has both.
    if "transcoder" in folder.lower():
        return tuple({*kind, "transcoder", "skip_transcoder", *_WORDS["jumprelu"]})
    return kind


def _width(folder: str) -> tuple[int, int] | None:
    found = {(int(match[1]),) * 2 for match in _D_SAE.finditer(folder)}
    found |= {(2 ** int(match[1]),) * 2 for match in _POWER.finditer(folder)}
    for match in _WIDTH.finditer(folder):
        number, power = int(match[1]), 1 if match[2].lower() == "k" else 2
        # "16k" is 16384 to most and 16000 to some; both are right.
        found.add((number * 1000**power, number * 1024**power))
    return _only(found)


def _only(found: set[_T]) -> _T | None:
    return next(iter(found)) if len(found) == 1 else None
