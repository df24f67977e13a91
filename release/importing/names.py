"""The id template and the place of each SAE in the matrix, recovered from folder names.

Each name is turned into a shape by putting fields in the place of its layer, architecture and
condition: `tinyllama_topk_L3_mixed` has the shape `tinyllama_{architecture}_L{layer}_{condition}`.
The commonest shape is the template; a name whose shape has one `_word` more is a variant of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from manifests.sae_recipes import Architecture

ARCHITECTURES: tuple[Architecture, ...] = (
    "topk",
    "jumprelu",
    "gated",
    "batchtopk",
    "matryoshka_batchtopk",
    "standard",
)
# These are saved as jumprelu, so that only a config's metadata tells them from it.
TRAINED_ONLY: tuple[Architecture, ...] = ("matryoshka_batchtopk", "batchtopk")
# A word within another one comes after it; `standard` is said of much else, and comes last.
_IN_NAMES: tuple[Architecture, ...] = (*TRAINED_ONLY, "topk", "jumprelu", "gated", "standard")
USUAL_CONDITIONS = ("mixed", "deceptive_only", "honest_only")
# Stands in the matrix where neither names nor configs tell a condition.
UNNAMED_CONDITION = "all"

_SAE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_LAYER = re.compile(
    r"(?<![A-Za-z0-9])(?P<mark>(?:L|l|layers?|blocks|h)[._-]?)(?P<digits>[0-9]+)(?![0-9])"
)
_VARIANT = re.compile(r"_[A-Za-z0-9][A-Za-z0-9.-]*(?:_[A-Za-z0-9.-]+)*")
_SEPARATORS = "._-"


@dataclass(frozen=True)
class NameHints:
    """What the config beside a name says; None where it says nothing."""

    layer: int | None = None
    architecture: str | None = None
    condition: str | None = None


@dataclass(frozen=True, order=True)
class Cell:
    """A place in the matrix; the empty variant is the plain recipe."""

    layer: int
    architecture: Architecture
    condition: str
    variant: str


@dataclass(frozen=True)
class RecoveredNames:
    """The template, the cell of each name that follows it, and why each of the others does not."""

    template: str
    cells: dict[str, Cell]
    odd: dict[str, str]


@dataclass(frozen=True)
class _Shape:
    """A name's fields. `text` is the name with fields in place of what they stand for."""

    text: str
    layer: int | None
    architecture: Architecture | None
    condition: str | None


def recover_names(hints: Mapping[str, NameHints]) -> RecoveredNames:
    """Recover the template of a repository's folder names.

    Args:
        hints: folder name -> what its config says, which decides where a name is ambiguous and
            stands in where a name is silent.
    """
    names = sorted(name for name in hints if _SAE_ID.fullmatch(name))
    odd = {
        name: "cannot be an SAE id: letters, digits, '.', '_' and '-', at most 96 of them"
        for name in sorted(set(hints) - set(names))
    }
    if not names:
        return RecoveredNames("", {}, odd)
    words = {each.condition for each in hints.values() if each.condition} | {*USUAL_CONDITIONS}
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    shapes = {name: _shape(name, hints[name], longest_first) for name in names}
    shapes = _without_needless_fields(shapes)
    if not any(shape.condition for shape in shapes.values()):
        shapes = _conditions_from_what_varies(shapes)
    plain = _commonest(shape.text for shape in shapes.values())
    template, variants = _with_variants(plain, {shape.text for shape in shapes.values()})
    cells: dict[str, Cell] = {}
    for name, shape in shapes.items():
        if shape.text not in variants:
            odd[name] = f"does not follow the template {template}"
            continue
        cell = _cell(shape, hints[name], variants[shape.text])
        if isinstance(cell, str):
            odd[name] = cell
        else:
            cells[name] = cell
    return RecoveredNames(template, cells, dict(sorted(odd.items())))


def fill_in(template: str, cell: Cell) -> str:
    """The name that a template gives a cell."""
    return template.format(
        layer=cell.layer,
        architecture=cell.architecture,
        condition=cell.condition,
        variant=f"_{cell.variant}" if cell.variant else "",
    )


def _shape(name: str, hint: NameHints, conditions: Iterable[str]) -> _Shape:
    """Put fields in place of a name's condition, architecture and layer, in this order."""
    text, layer, architecture, condition = name, None, None, None
    known = [hint.condition] if hint.condition else []
    # Thousands of names with a condition each are millions of pairs, too many to compile.
    for word in (word for word in (*known, *conditions) if word in text):
        replaced = _replace_last_word(text, word, "{condition}")
        if replaced is not None:
            text, condition = replaced, word
            break
    for each in (word for word in _IN_NAMES if _may_mean(word, hint.architecture)):
        replaced = _replace_last_word(text, each, "{architecture}")
        if replaced is not None:
            text, architecture = replaced, each
            break
    marks = list(_LAYER.finditer(text))
    marks = [mark for mark in marks if int(mark["digits"]) == hint.layer] or marks
    if marks:
        digits = marks[-1]["digits"]
        # `L03` and `L12` come from the same template, with a width.
        field = (
            f"{{layer:0{len(digits)}d}}" if digits.startswith("0") and digits != "0" else "{layer}"
        )
        text = f"{text[: marks[-1].start('digits')]}{field}{text[marks[-1].end('digits') :]}"
        layer = int(digits)
    return _Shape(text, layer, architecture, condition)


def _may_mean(word: Architecture, stated: str | None) -> bool:
    """Whether an architecture's word in a name is the SAE's own, beside what its config states.

    A BatchTopK SAE may be named after its file, which is a jumprelu; and the words that are not
    only of architectures, or that a file alone cannot bear out, need the config's consent.
    """
    if stated is None or word == stated:
        return True
    return stated not in TRAINED_ONLY and word not in (*TRAINED_ONLY, "standard")


def _replace_last_word(text: str, word: str, field: str) -> str | None:
    """`text` with the last whole occurrence of a word replaced; None where there is none.

    `topk` in `batch_topk` and `abs-topk` is a part of another word.
    """
    pattern = rf"(?<![A-Za-z0-9{{])(?<!batch[_-])(?<!abs[_-]){re.escape(word)}(?![A-Za-z0-9}}])"
    found = list(re.finditer(pattern, text))
    if not found:
        return None
    return f"{text[: found[-1].start()]}{field}{text[found[-1].end() :]}"


def _without_needless_fields(shapes: dict[str, _Shape]) -> dict[str, _Shape]:
    """Give `L12` the field that `L03` in the same repository needs."""
    widths = {
        match[1]
        for shape in shapes.values()
        for match in re.finditer(r"(\{layer:0[0-9]+d\})", shape.text)
    }
    if len(widths) != 1:
        return shapes
    (field,) = widths
    return {
        name: replace(shape, text=shape.text.replace("{layer}", field))
        if shape.layer is not None and len(str(shape.layer)) >= int(field[8:-2])
        else shape
        for name, shape in shapes.items()
    }


def _conditions_from_what_varies(shapes: dict[str, _Shape]) -> dict[str, _Shape]:
    """Where no known word names a condition: the one part in which the shapes differ."""
    texts = sorted({shape.text for shape in shapes.values()})
    if len(texts) < 2:
        return shapes
    start = _common_length(texts)
    end = _common_length([text[::-1] for text in texts])
    start = min(start, min(map(len, texts)) - end) if end else start
    while start and texts[0][start - 1] not in f"{_SEPARATORS}}}":
        start -= 1
    while end and texts[0][len(texts[0]) - end] not in f"{_SEPARATORS}{{":
        end -= 1
    middles = {text: text[start : len(text) - end] for text in texts}
    if not all(_SAE_ID.fullmatch(middle) for middle in middles.values()):
        return shapes
    return {
        name: replace(
            shape,
            text=f"{shape.text[:start]}{{condition}}{shape.text[len(shape.text) - end :]}",
            condition=middles[shape.text],
        )
        for name, shape in shapes.items()
    }


def _common_length(texts: list[str]) -> int:
    """Length of the longest common prefix."""
    shortest, longest = min(texts), max(texts)
    pairs = zip(shortest, longest, strict=False)
    return next(
        (index for index, (a, b) in enumerate(pairs) if a != b), min(len(shortest), len(longest))
    )


def _commonest(texts: Iterable[str]) -> str:
    """The text that occurs most often; of several, the one with more fields, then the shorter."""
    counts = Counter(texts)
    return min(counts, key=lambda text: (-counts[text], -text.count("{"), len(text), text))


def _with_variants(plain: str, texts: Collection[str]) -> tuple[str, dict[str, str]]:
    """The template with its {variant}, and the variant of each shape that follows it.

    A shape follows the template when it is the plain one with `_word` inserted at one place,
    which is the same place for all variants.
    """
    inserted: dict[int, dict[str, str]] = {}
    for text in sorted(texts):
        n_more = len(text) - len(plain)
        for place in range(len(plain) + 1) if n_more > 0 else ():
            word = text[place : place + n_more]
            is_inserted = text[:place] == plain[:place] and text[place + n_more :] == plain[place:]
            if is_inserted and _VARIANT.fullmatch(word) and _outside_fields(plain, place):
                inserted.setdefault(place, {})[text] = word[1:]
    if not inserted:
        return plain, {plain: ""}
    place = max(inserted, key=lambda place: (len(inserted[place]), place))
    return f"{plain[:place]}{{variant}}{plain[place:]}", {plain: "", **inserted[place]}


def _outside_fields(text: str, place: int) -> bool:
    return text[:place].count("{") == text[:place].count("}")


def _cell(shape: _Shape, hint: NameHints, variant: str) -> Cell | str:
    """The cell of a name, its config standing in where the name is silent; or why it has none."""
    layer = shape.layer if shape.layer is not None else hint.layer
    if layer is None:
        return "names no layer, and neither does its config"
    architecture = shape.architecture or next(
        (each for each in ARCHITECTURES if each == hint.architecture), None
    )
    if architecture is None:
        return f"names no architecture of {', '.join(ARCHITECTURES)}, and neither does its config"
    condition = shape.condition or hint.condition or UNNAMED_CONDITION
    if not _SAE_ID.fullmatch(condition):
        return f"its config's condition {condition!r:.60} cannot be one: letters, digits, '._-'"
    return Cell(layer, architecture, condition, variant)
