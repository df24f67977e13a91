"""Reference pages of documents: every key of a JSON Schema, with type, default and meaning.

The schemas are those of the pydantic models, so a page says what the code refuses and accepts.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any

Schema = dict[str, Any]

_DEFINITIONS = "#/$defs/"
_PRIMITIVES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
    "object": "mapping",
    "array": "list",
}
_BOUNDS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "to {}",
    "exclusiveMaximum": "below {}",
}


def model_page(title: str, introduction: str, schema: Schema) -> str:
    """The page of one document: its own keys first, then each mapping in it by where it stands."""
    places = places_of(schema)
    lines = [f"# {title}", "", introduction, "", *_keys(schema, places)]
    for name, found in places.items():
        definition = schema["$defs"][name]
        lines += ["", f"## `{found[0]}`", ""]
        if "description" in definition:
            lines += [_one_paragraph(definition["description"]), ""]
        if len(found) > 1:
            lines += ["The same at " + ", ".join(f"`{place}`" for place in found[1:]) + ".", ""]
        if "enum" in definition:
            lines += [f"One of {_values(definition['enum'])}."]
        elif definition.get("properties"):
            lines += _keys(definition, places)
        else:
            lines += [f"{_type(definition, places)}."]
    return "\n".join(lines) + "\n"


def places_of(schema: Schema) -> dict[str, list[str]]:
    """Where each definition stands in the document, the nearest to its top first.

    `x[]` is an item of the list `x`, `x.*` any value of the mapping `x`.
    """
    places: dict[str, list[str]] = {}
    queue = deque([("", schema)])
    while queue:
        path, part = queue.popleft()
        for key, value in part.get("properties", {}).items():
            for place, name in _references(value, f"{path}.{key}" if path else key):
                if name not in places:
                    queue.append((place, schema["$defs"][name]))
                known = places.setdefault(name, [])
                if place not in known:
                    known.append(place)
    return places


def _references(value: Schema, path: str) -> list[tuple[str, str]]:
    """The definitions that a value may follow, each with its place."""
    found = []
    if "$ref" in value:
        found.append((path, value["$ref"].removeprefix(_DEFINITIONS)))
    for choice in (*value.get("anyOf", ()), *value.get("oneOf", ()), *value.get("allOf", ())):
        found += _references(choice, path)
    items = value.get("items")
    if isinstance(items, dict):
        found += _references(items, f"{path}[]")
    values = _values_of_mapping(value)
    if values is not None:
        found += _references(values, f"{path}.*")
    return found


def _values_of_mapping(value: Schema) -> Schema | None:
    """What the values of a mapping with free keys follow; None where it has none."""
    patterns = value.get("patternProperties")
    extra = next(iter(patterns.values())) if patterns else value.get("additionalProperties")
    return extra if isinstance(extra, dict) else None


def _keys(part: Schema, places: dict[str, list[str]]) -> list[str]:
    required = part.get("required", ())
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, value in part.get("properties", {}).items():
        default = "required" if key in required else _default(value)
        meaning = _one_paragraph(value.get("description", "")).replace("|", "\\|")
        rows.append(f"| `{key}` | {_type(value, places)} | {default} | {meaning} |")
    return rows


def _default(value: Schema) -> str:
    if "default" not in value:
        return ""
    return f"`{json.dumps(value['default'], ensure_ascii=False)}`".replace("|", "\\|")


def _type(value: Schema, places: dict[str, list[str]]) -> str:
    """A type in words; a mapping of its own is a link to its section."""
    if "$ref" in value:
        place = places[value["$ref"].removeprefix(_DEFINITIONS)][0]
        return f"[`{place}`](#{heading_anchor(place)})"
    choices = [*value.get("anyOf", ()), *value.get("oneOf", ())]
    if choices:
        return " or ".join(dict.fromkeys(_type(choice, places) for choice in choices))
    if "const" in value:
        return _values([value["const"]])
    if "enum" in value:
        return _values(value["enum"])
    kind = value.get("type")
    if kind == "array":
        return f"list of {_type(value['items'], places)}" if value.get("items") else "list"
    values = _values_of_mapping(value)
    if kind == "object" and values is not None:
        return f"mapping to {_type(values, places)}"
    words = _PRIMITIVES[kind] if isinstance(kind, str) else "any value"
    if value.get("format") == "date":
        words = "date"
    bounds = [form.format(value[name]) for name, form in _BOUNDS.items() if name in value]
    return " ".join([words, *bounds])


def heading_anchor(place: str) -> str:
    """The anchor of the heading `place`, as GitHub and MyST make it: no punctuation."""
    kept = "".join(letter for letter in place.lower() if letter.isalnum() or letter in " _-")
    return kept.replace(" ", "-")


def _values(values: list[Any]) -> str:
    return ", ".join(f"`{json.dumps(value).strip(chr(34))}`" for value in values)


def _one_paragraph(text: str) -> str:
    return " ".join(text.split())
