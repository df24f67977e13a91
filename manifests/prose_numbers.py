"""Numbers in the texts of a manifest, held against the facts that it states.

A card prints these texts as they are, so a number in them is one that nobody renders from a fact:
it stays when the fact changes. A number is traced when the manifest states it, when it follows
from numbers of its own sentence, or when it is part of a name (`4-bit`, `GPT-2`, `L25`, a version,
a date). 0, 1 and 100% bound a scale and state nothing.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from manifests.model import Manifest
from manifests.numbers_in_text import ProseNumber, numbers_in, occurrences
from manifests.stated_numbers import StatedNumber, stated_numbers
from manifests.yaml_source import KeyPath

_N_LAYERS = "base_model.n_layers"
_NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        re.findall(
            r"\w+",
            "one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
            "fifteen sixteen seventeen eighteen nineteen twenty",
        ),
        start=1,
    )
}
# What title and summary count is the release itself; other texts may count something else.
_COUNTED = re.compile(
    rf"\b(\d[\d,]*|{'|'.join(_NUMBER_WORDS)}) (SAEs|sparse autoencoders|layers|architectures"
    r"|conditions)\b",
    re.IGNORECASE,
)
_COUNTS_OF = {
    "saes": ("the number of SAEs", "the number of plain SAEs"),
    "sparse autoencoders": ("the number of SAEs", "the number of plain SAEs"),
    "layers": ("the number of layers with SAEs", _N_LAYERS),
    "architectures": ("the number of architectures",),
    "conditions": ("the number of conditions",),
}


@dataclass(frozen=True)
class Untraced:
    """A number in a text of the manifest that no fact of it states.

    Attributes:
        path: the key of the text.
        text: the number as printed.
        occurrence: how many times the same characters stand in the text before it.
        nearest: the stated number that is nearest.
    """

    path: KeyPath
    text: str
    occurrence: int
    nearest: StatedNumber


def prose_of(manifest: Manifest) -> Iterator[tuple[KeyPath, str]]:
    """The texts that a card prints as they are, by their keys."""
    yield ("title",), manifest.title
    yield ("summary",), manifest.summary
    data = manifest.data
    for name in ("description", "label_rule", "label_precision"):
        text = getattr(data, name)
        if text is not None:
            yield ("data", name), text
    for index, scenario in enumerate(data.scenarios):
        if scenario.note is not None:
            yield ("data", "scenarios", index, "note"), scenario.note
    for index, claim in enumerate(manifest.claims):
        yield ("claims", index, "text"), claim.text
    for index, entry in enumerate(manifest.accept):
        yield ("accept", index, "why"), entry.why
    for index, caveat in enumerate(manifest.caveats):
        yield ("caveats", index, "title"), caveat.title
        yield ("caveats", index, "text"), caveat.text
    for name in ("measures", "does_not_measure"):
        text = getattr(manifest.uses, name)
        if text is not None:
            yield ("uses", name), text
    for name in ("recommended", "not_recommended"):
        for index, text in enumerate(getattr(manifest.uses, name)):
            yield ("uses", name, index), text
    for index, text in enumerate(manifest.context):
        yield ("context", index), text
    for name, reason in manifest.assumed.items():
        yield ("assumed", name), reason


def untraced_numbers(
    manifest: Manifest, further: Sequence[StatedNumber] = ()
) -> tuple[Untraced, ...]:
    """The numbers in a manifest's texts that neither it nor `further` states, in their order.

    Args:
        manifest: whose texts and facts they are.
        further: facts from elsewhere, such as how many completions the data file has.

    Raises:
        MatrixProblem: the matrix of SAEs cannot be told apart.
    """
    stated = (*stated_numbers(manifest), *further)
    names = _names_of(manifest)
    found = []
    for path, text in prose_of(manifest):
        for number in _not_traced(numbers_in(text, names), stated):
            shown = number.name or number.text
            before = len(occurrences(text[: number.start], shown))
            found.append(Untraced(path, shown, before, _nearest(number.value, stated)))
        if path in (("title",), ("summary",)):
            known = {one.text for one in found if one.path == path}
            found += [one for one in _miscounted(path, text, stated) if one.text not in known]
    return tuple(found)


def _nearest(value: float, stated: Sequence[StatedNumber]) -> StatedNumber:
    return min(stated, key=lambda fact: abs(fact.value - value))


def _miscounted(path: KeyPath, text: str, stated: Sequence[StatedNumber]) -> Iterator[Untraced]:
    """Numbers of layers, architectures, conditions or SAEs, in words too, that are others."""
    for match in _COUNTED.finditer(text):
        number, noun = match.group(1).lower(), match.group(2).lower()
        value = _NUMBER_WORDS.get(number) or int(number.replace(",", ""))
        counts = [fact for fact in stated if fact.name in _COUNTS_OF[noun]]
        if all(fact.value != value for fact in counts):
            shown = match.group(1)
            before = len(occurrences(text[: match.start()], shown))
            yield Untraced(path, shown, before, _nearest(value, counts))


def _not_traced(
    numbers: Sequence[ProseNumber], stated: Sequence[StatedNumber]
) -> Iterator[ProseNumber]:
    traced = [number for number in numbers if number.bounds_a_scale or _is_stated(number, stated)]
    for number in numbers:
        if number in traced:
            continue
        beside = [
            other.value
            for other in traced
            if other.sentence == number.sentence and not other.bounds_a_scale
        ]
        if not any(_fits(number, value) for value in _made_of(beside)):
            yield number


def _made_of(values: Sequence[float]) -> Iterator[float]:
    """What two numbers of one sentence make."""
    for a, b in itertools.permutations(values, 2):
        yield from (a + b, a - b, a * b)
        if b:
            yield from (a / b, 100 * a / b)


def _is_stated(number: ProseNumber, stated: Sequence[StatedNumber]) -> bool:
    for fact in stated:
        value = abs(fact.value)
        if number.names_a_layer and fact.name == _N_LAYERS and number.value < value:
            return True
        # A count is not written with decimals: 1.0 is not the one SAE.
        is_decimal = number.unit < 1 and "." in number.text
        if not (is_decimal and isinstance(fact.value, int)) and _fits(number, value):
            return True
        if number.is_percent and value <= 1 and _fits(number, 100 * value):
            return True
    # 3/4 is stated where both of its parts are.
    parts = number.name.split("/")
    return len(parts) == 2 and all(
        part == "1" or any(fact.value == int(part) for fact in stated) for part in parts
    )


def _fits(number: ProseNumber, value: float) -> bool:
    """Whether the number is the value, rounded to as many digits as are printed.

    `about` makes trailing zeros no digits. Without it, a whole number is rounded from no other
    whole number, and one digit, such as 0.6, is the value itself unless it is a percentage: too
    many values round to it.
    """
    unit, digits = number.unit, number.text.replace(",", "").replace(".", "").strip("0")
    if number.is_about and "." not in number.text:
        unit *= 10 ** (len(number.text) - len(number.text.rstrip("0")))
    elif not number.is_about and (
        (unit == 1 and value == round(value)) or (len(digits) < 2 and not number.is_percent)
    ):
        unit = 0.0
    return abs(number.value - value) <= 0.5 * unit * (1 + 1e-9) + 1e-9 * abs(value)


def _names_of(manifest: Manifest) -> str:
    """The names that a manifest uses, lower-case, with spaces between their parts."""
    model, ran_on = manifest.base_model, manifest.hardware.ran_on
    dataset = manifest.data.dataset
    texts = [
        model.id,
        manifest.repo_id,
        *(other.id for other in manifest.portability.other_models),
        *((manifest.weights.repo_id,) if manifest.weights else ()),
        *((dataset.id,) if dataset else ()),
        *((ran_on.device, ran_on.system or "", ran_on.software or "") if ran_on else ()),
        *(citation.title for citation in manifest.citations),
    ]
    return " ".join(re.sub(r"[-_/]", " ", text).lower() for text in texts)
