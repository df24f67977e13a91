"""The files that a job is sent: the manifest with all it rests on, and the data it names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from manifests.data_at_hand import data_sha256, text_files
from manifests.digests import bytes_sha256, file_sha256
from manifests.errors import ReleaseError
from manifests.load import LoadedManifest

INPUT = "input"
_MOST_FILES = 100


class NotSendable(ReleaseError):
    """The manifest needs something that a job cannot be sent."""

    exit_code = 2


@dataclass(frozen=True)
class CarriedFile:
    """A file on its way to the job.

    Attributes:
        path: where it lies in the job, POSIX, relative to its work folder.
        source: the file to send, or its bytes.
        sha256: hex, what the job holds it against.
        size_bytes: of the content.
    """

    path: str
    source: Path | bytes
    sha256: str
    size_bytes: int

    @classmethod
    def of_bytes(cls, path: str, content: bytes) -> CarriedFile:
        """A file that is made for the job."""
        return cls(path, content, bytes_sha256(content), len(content))

    @classmethod
    def of_file(cls, path: str, source: Path) -> CarriedFile:
        """A file that is there."""
        return cls(path, source.resolve(), file_sha256(source), source.stat().st_size)


def carried_files(loaded: LoadedManifest) -> tuple[CarriedFile, ...]:
    """The manifest with its defaults and study file folded in, then what lies beside it.

    The copy has the digest of the original, so the job makes the weights that it describes. Data
    on the Hub is not carried: the job reads it there.

    Raises:
        DataNotAtHand: the manifest leaves open where its data is or how it is read.
        DataUnreadable: the data cannot be read.
        NotSendable: the data differs from its digest, or is in too many files; or the base model
            ships in a package.
    """
    base, data = loaded.manifest.base_model, loaded.manifest.data
    at_hand = data.at_hand()
    if base.package is not None:
        raise NotSendable(
            f"the base model ships in the package {base.package.requirement}",
            where="base_model.package",
            expected="a base model on the Hub, which the job downloads",
            next_step="train with --engine local",
        )
    text = json.dumps(loaded.manifest.resolved(), indent=2, ensure_ascii=False) + "\n"
    files = [CarriedFile.of_bytes(f"{INPUT}/{loaded.name}.yaml", text.encode())]
    if data.file is not None:
        files += _data_files(loaded.file_beside(data.file), data.file, at_hand.sha256)
    if base.config is not None:
        files.append(CarriedFile.of_file(f"{INPUT}/{base.config}", loaded.file_beside(base.config)))
    return tuple(files)


def _data_files(path: Path, relative: str, stated: str) -> list[CarriedFile]:
    found = data_sha256(path)
    if found != stated:
        raise NotSendable(
            f"has the SHA-256 {found}",
            where=str(path),
            expected=f"{stated}, which data.sha256 of the manifest states",
            next_step="restore the data, or state its digest",
        )
    if not path.is_dir():
        return [CarriedFile.of_file(f"{INPUT}/{relative}", path)]
    members = text_files(path)
    if len(members) > _MOST_FILES:
        raise NotSendable(
            f"holds {len(members)} files",
            where=str(path),
            expected=f"at most {_MOST_FILES}, each of which is an argument of the job",
            next_step="put the documents into one .jsonl file",
        )
    return [
        CarriedFile.of_file(f"{INPUT}/{relative}/{one.relative_to(path).as_posix()}", one)
        for one in members
    ]
