"""What a collection takes from its study file: base models by name, and facts that all share."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from manifests.errors import ReleaseError
from manifests.fields import Identifier, RepoId, Text
from manifests.load import ManifestError
from manifests.yaml_source import KeyPath, SourcedData, read_yaml

SHARED_KEYS = ("license", "language", "tags", "citations", "code", "context", "uses", "hub")


class CollectionProblem(ReleaseError):
    """A collection that disagrees with the study file or with a member's manifest."""

    exit_code = 2


class RegisteredModel(BaseModel):
    """An entry of the register of base models, as far as a collection speaks of it.

    What else an entry has belongs to the manifests that use it, which check it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    id: RepoId
    revision: Text | None = None
    model_type: Identifier | None = None
    n_layers: PositiveInt | None = None
    d_model: PositiveInt | None = None
    n_parameters: PositiveInt | None = None
    relation: Literal["adapter", "finetune", "merge", "quantized"] = "adapter"


def read_study(collection: Path, name: str, place: str) -> SourcedData:
    """The study file beside a collection.

    Args:
        collection: the collection's own file.
        name: what it calls the study file.
        place: where it does, for the error.

    Raises:
        CollectionProblem: the name leads out of the collection's folder.
        YamlProblem: the file cannot be read as YAML.
    """
    if Path(name).name != name:
        raise CollectionProblem(
            f"study names {name!r}",
            where=place,
            expected="the name of a YAML file in the collection's own folder",
        )
    return read_yaml(collection.parent / name)


def shared_facts(study: SourcedData, *, without: Mapping[str, Any]) -> dict[str, Any]:
    """The study's defaults of `SHARED_KEYS`, less those that the collection states itself."""
    defaults = _mapping(study.data, "defaults")
    return {key: defaults[key] for key in SHARED_KEYS if key in defaults and key not in without}


def registered_model(study: SourcedData, name: str, place: str) -> RegisteredModel:
    """The register's entry for a base model.

    Raises:
        CollectionProblem: there is none of that name.
        ManifestError: the entry says something impossible.
    """
    register = _mapping(study.data, "base_models")
    if name not in register:
        near = difflib.get_close_matches(name, sorted(register), n=1)
        raise CollectionProblem(
            f"names the base model {name!r}, which the study file's register lacks",
            where=place,
            expected=f"one of {', '.join(sorted(register))}" if register else "an entry there",
            next_step=f"did you mean {near[0]!r}?" if near else None,
        )
    try:
        return RegisteredModel.model_validate_json(json.dumps(register[name]), strict=True)
    except ValidationError as error:
        raise ManifestError(problems_of(error, study, within=("base_models", name))) from error


def problems_of(
    error: ValidationError,
    source: SourcedData,
    study: SourcedData | None = None,
    *,
    within: KeyPath = (),
) -> tuple[ReleaseError, ...]:
    """What pydantic found, each with its place.

    Args:
        error: of a value that stands at `within` of `source`.
        source: the file that was read.
        study: where the shared keys come from that `source` has no place for.
        within: the path of the value.
    """
    found = []
    for details in error.errors():
        path: KeyPath = (*within, *details["loc"])
        from_study = study is not None and path[:1] not in source.origins and bool(path)
        origin = (
            study.origin_of(("defaults", *path))
            if study is not None and from_study
            else source.origin_of(path)
        )
        key = ".".join(str(part) for part in path) or "the collection"
        message = details["msg"].removeprefix("Value error, ")
        found.append(ReleaseError(message, where=f"{origin}: {key}"))
    return tuple(found)


def _mapping(data: Any, key: str) -> Mapping[str, Any]:
    """A part of the study file that maps names to values; empty where there is none."""
    found = data.get(key) if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}
