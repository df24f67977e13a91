"""The provenance of a release: an in-toto Statement v1 with a SLSA provenance v1 predicate.

Equal inputs give equal statements. `write_provenance` leaves one alone whose release is the same,
so that a push of unchanged files changes nothing.

Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md and
https://slsa.dev/spec/v1.0/provenance.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

from manifests.build_folder import BuildFolder, write_atomically
from manifests.load import LoadedManifest
from manifests.tool_version import tool_version
from release.provenance.builder import BUILD_TYPE, Builder
from release.provenance.materials import SOURCE, materials
from validators.claim import PUBLISHED_MANIFEST
from validators.training_record import TrainingRecord, read_training_record

PROVENANCE = "provenance.intoto.json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"

# Keys of training.json's environment that say on what it ran; all others are versions.
HARDWARE = (
    "engine",
    "platform",
    "device",
    "device_name",
    "compute_capability",
    "cuda",
    "driver",
    "threads",
)


def provenance_statement(
    loaded: LoadedManifest,
    build: BuildFolder,
    files: Mapping[str, str],
    *,
    builder: Builder | None = None,
    finished: datetime.datetime | None = None,
) -> dict[str, Any]:
    """State which files a release consists of, and how they came about.

    Args:
        loaded: the manifest.
        build: its build folder, whose `training.json` says how the weights were made; without
            one, the weights were not made by this tool.
        files: SHA-256 of every published file by path_in_repo; the statement itself is left out.
        builder: who assembles the release; when not given, somebody's own machine.
        finished: when, in any time zone; when not given, no time is stated.

    Raises:
        UnreadableTrainingRecord: `training.json` is damaged.
    """
    builder = builder or Builder()
    training = read_training_record(build.training_json) if build.training_json.is_file() else None
    metadata: dict[str, str] = {}
    if builder.invocation_id:
        metadata["invocationId"] = builder.invocation_id
    if finished is not None:
        metadata["finishedOn"] = _timestamp(finished)
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": path, "digest": {"sha256": files[path]}}
            for path in sorted(files)
            if path != PROVENANCE
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": _external_parameters(loaded),
                "internalParameters": {"hardware": _hardware(training)},
                "resolvedDependencies": materials(loaded, training, builder),
            },
            "runDetails": {
                "builder": {"id": builder.builder_id, "version": versions_of(training)},
                "metadata": metadata,
            },
        },
    }


def write_provenance(
    loaded: LoadedManifest,
    build: BuildFolder,
    files: Mapping[str, str],
    *,
    builder: Builder | None = None,
    finished: datetime.datetime | None = None,
) -> bool:
    """Write the statement into the repository folder; False where the one there still holds.

    It holds while files, parameters, dependencies and versions are the same: whoever assembled
    these bytes first stays the one who is named, with the time of then.

    Args:
        loaded: as for `provenance_statement`.
        build: likewise.
        files: likewise.
        builder: likewise.
        finished: likewise; when not given, the present time.

    Raises:
        UnreadableTrainingRecord: `training.json` is damaged.
    """
    at = finished or datetime.datetime.now(datetime.UTC)
    statement = provenance_statement(loaded, build, files, builder=builder, finished=at)
    path = build.repository / PROVENANCE
    if path.is_file() and _says_the_same(path.read_bytes(), statement):
        return False
    write_atomically(path, statement_bytes(statement))
    return True


def statement_bytes(statement: Mapping[str, Any]) -> bytes:
    """The bytes of the file: indented JSON with a final newline."""
    text = json.dumps(statement, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def versions_of(training: TrainingRecord | None) -> dict[str, str]:
    """Versions by package: of this tool now, and of what the weights were trained with.

    `training.json` names them; the tool's version of then is in it too, and may be another one.
    """
    versions = {"sae-release": tool_version()}
    for name, version in (training.environment if training else {}).items():
        if name not in HARDWARE and name not in versions and version is not None:
            versions[name] = version
    return dict(sorted(versions.items()))


def _external_parameters(loaded: LoadedManifest) -> dict[str, Any]:
    return {
        "repo_id": loaded.manifest.repo_id,
        "manifest": stated_manifest(loaded),
    }


def stated_manifest(loaded: LoadedManifest) -> dict[str, Any]:
    """How a statement names the manifest that the release follows."""
    return {
        "name": PUBLISHED_MANIFEST,
        "digest": {"sha256": loaded.digest},
        "annotations": {
            "evidence_digest": loaded.evidence_digest,
            "written_as": loaded.path.name,
        },
    }


def _hardware(training: TrainingRecord | None) -> dict[str, str | None]:
    if training is None:
        return {}
    environment = training.environment
    return {name: environment[name] for name in HARDWARE if name in environment}


def _timestamp(at: datetime.datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _says_the_same(content: bytes, statement: dict[str, Any]) -> bool:
    try:
        former = json.loads(content)
        return bool(_lasting(former) == _lasting(statement))
    except (ValueError, KeyError, TypeError, AttributeError):
        # What cannot be read states nothing, and is written anew.
        return False


def _lasting(statement: dict[str, Any]) -> tuple[Any, ...]:
    """What of a statement depends on the release and not on who assembled it when."""
    predicate = statement["predicate"]
    definition = predicate["buildDefinition"]
    dependencies = [d for d in definition["resolvedDependencies"] if d["name"] != SOURCE]
    return (
        statement["_type"],
        statement["subject"],
        statement["predicateType"],
        {**definition, "resolvedDependencies": dependencies},
        predicate["runDetails"]["builder"]["version"],
    )
