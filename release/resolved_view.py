"""A resolved manifest as lines: each value with the place where it was written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.load import LoadedManifest
from manifests.yaml_source import KeyPath, Origin

DEFAULT = "default"


@dataclass(frozen=True)
class ResolvedValue:
    """One leaf of a resolved manifest.

    Attributes:
        key: its path, such as `recipe.topk.k`.
        value: the value as JSON.
        origin: `file:line`, or `default` where nobody wrote it.
        overrides: the `file:line` of the study file's value that it replaced, else empty.
    """

    key: str
    value: str
    origin: str
    overrides: str


def resolved_values(loaded: LoadedManifest) -> tuple[ResolvedValue, ...]:
    """Every leaf of the resolved manifest, in the order of the format."""
    origins, overridden = loaded.resolved.origins, loaded.resolved.overridden
    return tuple(
        ResolvedValue(
            key=".".join(str(part) for part in path),
            value=json.dumps(value, ensure_ascii=False),
            origin=_place(origins[path]) if path in origins else DEFAULT,
            overrides=_place(overridden[path]) if path in overridden else "",
        )
        for path, value in _leaves(loaded.manifest.model_dump(mode="json"), ())
    )


def _leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*path, index))
    else:
        yield path, value


def _place(origin: Origin) -> str:
    return f"{Path(origin.file).name}:{origin.line}"
