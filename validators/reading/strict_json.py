"""JSON of strangers: bounded before it is parsed, strict while it is.

`json.loads` builds hundreds of bytes for two bytes of text, recurses into nesting, takes NaN and
1e999 for numbers, and keeps the last of two equal keys. Here the text is scanned first, in one
pass without recursion, and refused when parsing it would cost more than a config or header can.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from manifests.errors import ReleaseError

# A header of 10,000 tensors has about 160,000 strings, brackets and commas.
MAX_TOKENS = 500_000
MAX_DEPTH = 64
MAX_DIGITS = 30
_MAX_FLOAT_CHARACTERS = 1_000

# A string runs to its quote, or to the end of the text where it has none: each character is
# passed once, so that no text is scanned twice.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_HIGH_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class JsonProblem(ReleaseError):
    """A text that is not JSON, or more of it than is read."""


def parse_json(text: str) -> Any:
    """One JSON document: no duplicate keys, finite numbers, text that UTF-8 can hold.

    Raises:
        JsonProblem: it is not such JSON, nested beyond `MAX_DEPTH`, has more than `MAX_TOKENS`
            strings, brackets and commas, or an integer of more than `MAX_DIGITS` digits.
    """
    refuse_excess(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_finite,
        )
    except ValueError as error:
        raise JsonProblem(f"is not valid JSON: {error}") from error
    if _HIGH_SURROGATE.search(text):
        _refuse_half_characters(value)
    return value


def refuse_excess(text: str) -> None:
    """Refuse what would cost too much to parse, before a parser sees it.

    Raises:
        JsonProblem: too deep, or too many strings, brackets and commas.
    """
    depth = 0
    for count, token in enumerate(_TOKEN.finditer(text), start=1):
        if count > MAX_TOKENS:
            raise JsonProblem(f"holds more than {MAX_TOKENS} strings, brackets and commas")
        first = text[token.start()]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise JsonProblem(f"is nested too deeply: more than {MAX_DEPTH} levels")
        elif first in "]}":
            depth -= 1


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonProblem(
                    f"is not strict JSON: the key {key!r:.80} stands twice in one object"
                )
            seen.add(key)
    return result


def _refuse_constant(constant: str) -> NoReturn:
    raise JsonProblem(f"is not valid JSON: {constant} is not a JSON number")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise JsonProblem(f"has an integer of {len(digits)} characters")
    return int(digits)


def _finite(text: str) -> float:
    value = float(text) if len(text) <= _MAX_FLOAT_CHARACTERS else math.inf
    if math.isinf(value):
        raise JsonProblem(f"has a number that no float holds: {text:.40}")
    return value


def _refuse_half_characters(value: Any) -> None:
    """Half of a surrogate pair can be escaped in JSON, and never be written to a file again."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise JsonProblem(f"has half of a character in a text: {half}") from error
