"""From a YAML file to a checked `Manifest`: all problems at once, each with its place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from manifests.errors import ReleaseError
from manifests.extends import ResolvedData, read_resolved
from manifests.matrix import SaeSpec, sae_specs
from manifests.model import Manifest
from manifests.nearest import nearest, question
from manifests.yaml_source import KeyPath, Origin, SourcedData


class ManifestError(ReleaseError):
    """A manifest that states something impossible or unknown; lists every problem."""

    exit_code = 2

    def __init__(self, problems: tuple[ReleaseError, ...]) -> None:
        """Collect the problems of one manifest, in the order of the file."""
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class LoadedManifest:
    """A manifest, where it came from, and what follows from it."""

    path: Path
    manifest: Manifest
    saes: tuple[SaeSpec, ...]
    resolved: ResolvedData

    @property
    def name(self) -> str:
        """The file's stem, which names the folder under `build/`."""
        return self.path.stem

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the resolved manifest."""
        return self.manifest.digest()

    @property
    def evidence_digest(self) -> str:
        """Hex SHA-256 of what weights, checks and measurements depend on."""
        return self.manifest.evidence_digest()

    def file_beside(self, relative: str) -> Path:
        """A file that the manifest names, relative to the manifest's own folder."""
        return self.path.parent / Path(*relative.split("/"))


def load_manifest(path: Path) -> LoadedManifest:
    """Read and check one manifest.

    Raises:
        YamlProblem: the file cannot be read as YAML.
        ManifestError: it can, but says something unknown or impossible; all such problems.
    """
    resolved = read_resolved(path)
    source = resolved.as_source()
    if not isinstance(source.data, dict):
        problem = ReleaseError(
            f"holds a {type(source.data).__name__}", where=str(path), expected="a mapping"
        )
        raise ManifestError((problem,))
    try:
        manifest = Manifest.model_validate_json(json.dumps(source.data), strict=True)
    except ValidationError as error:
        raise ManifestError(_problems_of(error, source)) from error
    try:
        saes = sae_specs(manifest)
    except ReleaseError as error:
        place = source.origin_of(tuple((error.where or "").split(".")))
        raise ManifestError(
            (
                ReleaseError(
                    error.what,
                    where=f"{place}: {error.where}" if error.where else str(place),
                    expected=error.expected,
                    next_step=error.next_step,
                ),
            )
        ) from error
    return LoadedManifest(path=path, manifest=manifest, saes=saes, resolved=resolved)


def _problems_of(error: ValidationError, source: SourcedData) -> tuple[ReleaseError, ...]:
    """What pydantic found, in the order of the file."""
    placed: list[tuple[Origin | None, ReleaseError]] = []
    for details in error.errors():
        if details["loc"]:
            placed.append((source.origin_of(details["loc"]), _explain(details, source)))
            continue
        for disagreement in details["msg"].removeprefix("Value error, ").split("; "):
            # Each begins with the key that it is about.
            origin = source.origin_of(tuple(disagreement.split(maxsplit=1)[0].split(".")))
            placed.append((origin, ReleaseError(disagreement, where=str(origin))))
    placed.sort(key=lambda pair: (pair[0].file, pair[0].line) if pair[0] else ("", 0))
    return tuple(problem for _, problem in placed)


def _explain(details: ErrorDetails, source: SourcedData) -> ReleaseError:
    """One pydantic error as a problem with file, line, column and key."""
    path: KeyPath = details["loc"]
    key = ".".join(str(part) for part in path) or "the manifest"
    origin = source.origin_of(path)
    where = f"{origin}: {key}" if origin else key
    if details["type"] == "extra_forbidden":
        known = _known_keys(path[:-1])
        return ReleaseError(
            f"unknown key {path[-1]!r}",
            where=where,
            expected=f"one of {', '.join(known)}" if known else None,
            next_step=question([repr(near) for near in nearest(str(path[-1]), known, n=1)]),
        )
    if details["type"] == "missing":
        return ReleaseError(
            f"the key {path[-1]!r} is missing", where=where, expected=f"a value for {key}"
        )
    found = details["input"]
    shown = "" if isinstance(found, dict | list) else f" (found {found!r:.80})"
    message = details["msg"].removeprefix("Value error, ")
    meant = None
    if details["type"] == "literal_error":
        choices = re.findall(r"'([^']*)'", str(details.get("ctx", {}).get("expected", "")))
        meant = question([repr(near) for near in nearest(str(found), choices, n=1)])
    return ReleaseError(f"{message}{shown}", where=where, next_step=meant)


def _known_keys(path: KeyPath) -> list[str]:
    """The keys that the model at `path` accepts; empty when there is no model there."""
    model: Any = Manifest
    for part in path:
        if isinstance(part, int) or not (isinstance(model, type) and issubclass(model, BaseModel)):
            continue
        if part not in model.model_fields:
            return []
        model = _model_within(model.model_fields[part].annotation)
    if isinstance(model, type) and issubclass(model, BaseModel):
        return sorted(model.model_fields)
    return []


def _model_within(annotation: Any) -> Any:
    """The pydantic model inside `X | None`, `tuple[X, ...]` or `dict[str, X]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _model_within(argument)
        if found is not None:
            return found
    return None
