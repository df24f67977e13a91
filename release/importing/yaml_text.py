"""YAML that people edit: keys in a given order, short lists in one line, doubts as comments."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from release.importing.printable import one_line

MAX_TEXT_CHARACTERS = 2_000
FILL_IN_COMMENT = "not known: fill in"
_WIDTH = 96
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*")
_NOT_STRINGS = ("true", "false", "null")


@dataclass(frozen=True)
class Entry:
    """One key; `value` is a plain value, or entries of its own. None is written as null.

    `assumed` says why a value stands there that no source states.
    """

    key: str
    value: Any
    comment: str | None = None
    assumed: str | None = None


Entries = tuple[Entry, ...]


def yaml_text(entries: Entries, *, header: tuple[str, ...] = ()) -> str:
    """A YAML document that `manifests.yaml_source` reads back as the same values."""
    lines = [f"# {one_line(line)}" for line in header]
    for entry in entries:
        # A blank line before each group, as in the manifests that people write.
        if isinstance(entry.value, tuple) and lines:
            lines.append("")
        lines += _lines(entry, indent=0)
    return "\n".join(lines) + "\n"


def plain_data(entries: Entries) -> dict[str, Any]:
    """The values alone."""
    return {
        entry.key: plain_data(entry.value) if isinstance(entry.value, tuple) else entry.value
        for entry in entries
    }


def entries_of(data: Mapping[str, Any]) -> Entries:
    """Plain data as entries; mappings of plain values stay in one line where they are short."""
    return tuple(
        Entry(key, entries_of(value) if isinstance(value, dict) and value else value)
        for key, value in data.items()
    )


def _lines(entry: Entry, *, indent: int) -> Iterator[str]:
    space = " " * indent
    key, value = f"{space}{_key(entry.key)}:", entry.value
    comment = f"  # {one_line(entry.comment)}" if entry.comment else ""
    if isinstance(value, tuple):
        yield f"{key}{comment}"
        for inner in value:
            yield from _lines(inner, indent=indent + 2)
        return
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        yield f"{key}{comment}"
        for item in value:
            yield from _item(item, indent=indent + 2)
        return
    if isinstance(value, list) and len(key) + len(_flow(value)) > _WIDTH:
        yield f"{key}{comment}"
        for item in value:
            yield from _item(item, indent=indent + 2)
        return
    if isinstance(value, str) and len(key) + len(value) > _WIDTH - 4 and " " in value:
        yield f"{key} >-{comment}"
        yield from _folded(value, space=f"{space}  ")
        return
    yield f"{key} {_flow(value)}{comment}"


def _item(item: Any, *, indent: int) -> Iterator[str]:
    """An item of a list, in one line where it is short; a mapping else has a line for each key."""
    space = " " * indent
    short = f"{space}- {_flow(item)}"
    if isinstance(item, dict) and len(short) > _WIDTH:
        lines = [
            line
            for key, value in item.items()
            for line in _lines(Entry(key, value), indent=indent + 2)
        ]
        yield f"{space}- {lines[0].lstrip()}"
        yield from lines[1:]
    elif isinstance(item, str) and len(short) > _WIDTH and " " in item:
        yield f"{space}- >-"
        yield from _folded(item, space=f"{space}  ")
    else:
        yield short


def _folded(text: str, *, space: str) -> Iterator[str]:
    yield from textwrap.wrap(
        one_line(text, at_most=MAX_TEXT_CHARACTERS),
        width=_WIDTH,
        initial_indent=space,
        subsequent_indent=space,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _flow(value: Any) -> str:
    """A value in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, float):
        # Not `1e-05`, which YAML 1.1 readers take for text.
        text = repr(value)
        return text if "." in text or "e" not in text else text.replace("e", ".0e")
    return json.dumps(value)


def _key(key: str) -> str:
    return _string(key)


def _string(text: str) -> str:
    """Plain where every reader of YAML takes it for the same text, else in double quotes."""
    text = one_line(text, at_most=MAX_TEXT_CHARACTERS)
    if _PLAIN.fullmatch(text) and text.lower() not in (*_NOT_STRINGS, "yes", "no", "on", "off"):
        return text
    return json.dumps(text, ensure_ascii=False)
