"""The metadata block at the head of a README, and what the Hub derives from it."""

from __future__ import annotations

import json
from typing import Any

import yaml

_KINDS_OF_TAGS = ("license", "base_model", "datasets")


def front_matter(readme: str) -> str | None:
    """The YAML between the first two lines of three dashes, None if there is no such block."""
    lines = readme.lstrip("\ufeff").splitlines()
    if not lines or lines[0].strip() != "---":
        return None
    for number, line in enumerate(lines[1:], start=1):
        if line.strip() == "---":
            return "\n".join(lines[1:number])
    return None


def card_data(readme: bytes) -> dict[str, Any] | None:
    """The metadata as JSON values, None where there is none or it cannot be read.

    The Hub shows a repository whose metadata is broken, only without metadata; so does this.
    """
    block = front_matter(readme.decode("utf-8", "replace"))
    if block is None:
        return None
    try:
        data = yaml.safe_load(block)
    except yaml.YAMLError:
        return None
    if not isinstance(data, dict):
        return None
    return json.loads(json.dumps(data, default=str))  # type: ignore[no-any-return]


def derived_tags(data: dict[str, Any]) -> list[str]:
    """The tags that the Hub makes from metadata, after the author's own."""
    tags = [tag for tag in _strings(data.get("tags")) if tag]
    if isinstance(library := data.get("library_name"), str):
        tags.insert(0, library)
    for key in _KINDS_OF_TAGS:
        prefix = "dataset" if key == "datasets" else key
        tags += [f"{prefix}:{value}" for value in _strings(data.get(key))]
    relation = data.get("base_model_relation")
    if isinstance(relation, str):
        tags += [f"base_model:{relation}:{base}" for base in _strings(data.get("base_model"))]
    tags.append("region:us")
    return list(dict.fromkeys(tags))


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
