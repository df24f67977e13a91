"""What is already trained: per-SAE records, so that a killed run goes on where it stopped.

Each finished SAE leaves a record under `build/<manifest>/work/training/`, written after its
files. An SAE counts as finished when a record names the same inputs and the digests of the files
as they lie on the disk; anything else is trained again from its seed.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from manifests.build_folder import BuildFolder, write_atomically
from manifests.digests import file_sha256
from validators.training_record import (
    Environment,
    TrainedOn,
    TrainedSae,
    TrainingRecord,
    UnreadableTrainingRecord,
    read_training_record,
)


class FinishedSae(BaseModel):
    """The record of one finished SAE: its part of training.json, and what it shares."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    sae: TrainedSae
    base_model: TrainedOn
    environment: Environment

    def write(self, build: BuildFolder, sae_id: str) -> None:
        """Write the record; call it after the SAE's files."""
        content = self.model_dump_json(indent=2) + "\n"
        write_atomically(_record_path(build, sae_id), content.encode("utf-8"))


def finished_saes(build: BuildFolder, wanted: dict[str, str]) -> dict[str, FinishedSae]:
    """The SAEs that need no training, from the work records and a former training.json."""
    published = _published(build)
    finished = {}
    for sae_id, digest in wanted.items():
        for record in (_work_record(build, sae_id), published.get(sae_id)):
            if record is not None and _holds(record, digest, build.sae_folder(sae_id)):
                finished[sae_id] = record
                break
    return finished


def former_record(build: BuildFolder) -> TrainingRecord | None:
    """A former training.json of ours; None when it is missing or cannot be read."""
    try:
        return read_training_record(build.training_json)
    except UnreadableTrainingRecord:
        return None


def _holds(record: FinishedSae, digest: str, folder: Path) -> bool:
    if record.sae.inputs_digest != digest:
        return False
    return all(
        (folder / name).is_file() and file_sha256(folder / name) == sha256
        for name, sha256 in record.sae.files.items()
    )


def _work_record(build: BuildFolder, sae_id: str) -> FinishedSae | None:
    """None for a record that is missing or of another version: the SAE is trained again."""
    with contextlib.suppress(FileNotFoundError, ValidationError):
        return FinishedSae.model_validate_json(_record_path(build, sae_id).read_bytes())
    return None


def _published(build: BuildFolder) -> dict[str, FinishedSae]:
    """The records of training.json; empty when it is missing or cannot be read."""
    record = former_record(build)
    if record is None:
        return {}
    return {
        sae_id: FinishedSae(sae=sae, base_model=record.base_model, environment=record.environment)
        for sae_id, sae in record.saes.items()
    }


def _record_path(build: BuildFolder, sae_id: str) -> Path:
    return build.work / "training" / f"{sae_id}.json"
