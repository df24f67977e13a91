"""The numbers of a text, without those that are part of a name.

`4-bit`, `GPT-2`, `L25`, `Gemini 2.5 Flash`, versions, dates, identifiers of papers, references such
as `line 27` and what stands in code are names: the digits say which one, not how many.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WORD = re.compile(r"[^\s\u2013\u2014]+")
_AROUND = "()[]{}<>\"'*~,;:!?.\u201c\u201d\u2018\u2019\u2248\u00b1"
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^a-z\s])")
# What holds digits and no number of ours: code, addresses, dates, times, identifiers of papers,
# versions with two dots, powers.
_NO_NUMBER = re.compile(
    r"`[^`]*`|https?://\S+|\b\d{4}-\d\d(?:-\d\d)?\b|\b\d{1,2}:\d\d\b|\b\d{4}\.\d{4,5}\b"
    r"|\b\d+(?:\.\d+){2,}\b|\b\d+(?:\.\d+)?\s?\^\s?-?\d+"
)
_REFERENCE = re.compile(
    r"\b(?:appendix|chapter|eq|equation|fig|figure|issue|line|page|section|step|table|test|tier"
    r"|version)s?\.?\s+#?\d[\d.]*(?:(?:-|,? (?:and|or|to) |, )\d[\d.]*)*",
    re.IGNORECASE,
)
_MAGNITUDE = re.compile(r"(\d[\d,]*(?:\.\d+)?)([kKMBT])")
_FACTORS = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_WORDS_OF_SIZE = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
# Digits and letters in one word make a name, unless the letters count or measure.
_MEASURED = re.compile(
    r"\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+|%|[GMK]i?B|ms|s|min|h|x|pp"
    r"|-(?:block|completion|dimension|dimensional|epoch|fold|latent|layer|person|point|prompt"
    r"|scenario|shot|token|vector)s?)"
)
_ABOUT = {"about", "almost", "approximately", "around", "nearly", "over", "roughly", "some"}
_LAYER_WORDS = {"layer", "layers", "block", "blocks"}
# Capitalised words that stand before a measurement and not before the number of a version.
_NOT_A_NAME = re.compile(
    "activation|alive|auroc|batchtopk|blocks?|ce|cohen|ev|fvu|gated|jumprelu|l[012]|latents?|layers?"
    "|matryoshka|mmcs|mse|pca|relu|saes?|standard|ste|topk"
)
_KNOWN_NAME = re.compile(
    "bert|bitsandbytes|claude|cuda|driver|gemini|gemma|gpt|gpu|gtx|haiku|llama|mistral|nnsight|numpy"
    "|nvidia|opus|phi|python|pythia|qwen|rtx|saelens|sonnet|torch|transformers|transformerlens"
    "|ubuntu|windows"
)
_MONTH = re.compile(
    "january|february|march|april|may|june|july|august|september|october|november|december"
)
_YEARS = range(1990, 2036)


@dataclass(frozen=True)
class ProseNumber:
    """A number as a text prints it.

    Attributes:
        text: its characters, without a percent sign.
        value: what they say; `3 million` is 3000000.
        unit: by how much the last printed digit counts.
        is_percent: a percent sign or the word follows.
        is_about: a word such as `about` precedes it, so trailing zeros are no digits.
        start: where it begins in the text.
        sentence: the index of its sentence in the text.
        names_a_layer: the word before it is `layer` or `block`.
        name: the word that it is, where it is one such as `135M`.
    """

    text: str
    value: float
    unit: float
    is_percent: bool
    is_about: bool
    start: int
    sentence: int
    names_a_layer: bool = False
    name: str = ""

    @property
    def bounds_a_scale(self) -> bool:
        """Whether it is 0, 1 or 100%."""
        return self.text in ("0", "1") or (self.is_percent and self.text == "100")


def numbers_in(text: str, names: str = "") -> tuple[ProseNumber, ...]:
    """The numbers of a text that are part of no name.

    Args:
        text: a manifest's text.
        names: what is known to be a name, lower-case; a number that stands in it behind the same
            word is part of it.
    """
    masked = _masked(_masked(text, _NO_NUMBER), _REFERENCE)
    words = list(_WORD.finditer(masked))
    ends = [match.start() for match in _SENTENCE_END.finditer(masked)]
    found: list[ProseNumber] = []
    for index, word in enumerate(words):
        before = words[index - 1] if index else None
        after = words[index + 1].group() if index + 1 < len(words) else ""
        sentence = sum(end < word.start() for end in ends)
        starts_sentence = before is None or sum(end < before.start() for end in ends) < sentence
        if not starts_sentence and before is not None:
            is_second = index < 2 or sum(e < words[index - 2].start() for e in ends) < sentence
            if _is_of_a_name(before.group(), word.group(), after, names, is_first=is_second):
                continue
        previous = before.group().strip(_AROUND).lower() if before is not None else ""
        is_about = previous in _ABOUT or word.group().startswith(("~", "\u2248"))
        for number in _numbers_of_word(word.group(), names):
            found.append(
                replace(
                    _sized(number, after),
                    is_about=is_about,
                    start=word.start() + number.start,
                    sentence=sentence,
                    names_a_layer=previous in _LAYER_WORDS,
                )
            )
    return tuple(found)


def _masked(text: str, pattern: re.Pattern[str]) -> str:
    return pattern.sub(lambda match: re.sub(r"\S", "_", match.group()), text)


def _is_of_a_name(word: str, number: str, after: str, names: str, *, is_first: bool) -> bool:
    """Whether a number belongs to the word before it, or to the month after it.

    The first word of a sentence is capitalised whatever it is, so it must be known for a name.
    """
    bare, digits = word.strip(_AROUND).lower(), number.strip(_AROUND)
    if not digits[:1].isdigit() or word[-1:] in ",;:":
        return False
    if _MONTH.fullmatch(after.strip(_AROUND).lower()) or _MONTH.fullmatch(bare):
        return True
    if "%" in number or _NOT_A_NAME.fullmatch(bare):
        return False
    if _KNOWN_NAME.fullmatch(bare) or (bare and f"{bare} {digits.lower()}" in names):
        return True
    return word[:1].isupper() and not is_first and not bare.isdigit()


def _numbers_of_word(word: str, names: str) -> Iterator[ProseNumber]:
    """The numbers of one word; `start` counts from the word's own."""
    offset = len(word) - len(word.lstrip(_AROUND))
    core = word.strip(_AROUND)
    magnitude = _MAGNITUDE.fullmatch(core)
    if magnitude:
        if not re.search(rf"(?<![\w.]){re.escape(core.lower())}(?!\w)", names):
            size = _number(magnitude.group(1), offset)
            factor = _FACTORS[magnitude.group(2)]
            yield replace(size, value=size.value * factor, unit=size.unit * factor, name=core)
        return
    if re.search(r"[^\W\d]", core) and not _MEASURED.fullmatch(core):
        return
    if re.fullmatch(r"\d{4}", core) and int(core) in _YEARS:
        return
    fraction = re.fullmatch(r"(\d+)/(\d+)", core)
    if fraction and int(fraction.group(2)):
        value = int(fraction.group(1)) / int(fraction.group(2))
        yield replace(_number(fraction.group(1), offset), value=value, unit=0.0, name=core)
        return
    for match in _NUMBER.finditer(core):
        number = _number(match.group(), offset + match.start())
        yield replace(number, is_percent="%" in word)


def _number(text: str, start: int) -> ProseNumber:
    mantissa, _, exponent = text.replace(",", "").lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    unit = 10.0 ** (int(exponent or 0) - decimals)
    value = float(text.replace(",", ""))
    return ProseNumber(text, value, unit, False, False, start, 0)


def _sized(number: ProseNumber, after: str) -> ProseNumber:
    """The number with what the word after it makes of it: `3 million`, `5 percent`."""
    word = after.strip(_AROUND).lower()
    if word in ("percent", "%"):
        return replace(number, is_percent=True)
    factor = _WORDS_OF_SIZE.get(word)
    if factor is None:
        return number
    return replace(number, value=number.value * factor, unit=number.unit * factor)


def occurrences(text: str, number: str) -> list[int]:
    """Where a number stands in a text as one of its own, not inside a longer one."""
    pattern = rf"(?<![\w.,]){re.escape(number)}(?![\w]|[.,]\d)"
    return [match.start() for match in re.finditer(pattern, text)]
