"""Which files a report rests on, and their digests."""

from __future__ import annotations

from manifests.digests import file_sha256
from manifests.load import LoadedManifest
from validators.report import Digests
from validators.subjects import TRAINING_RECORD, RepositorySubject

# Written by later stages from the report itself, so no report can rest on them.
_RENDERED = ("README.md", "config.json", "card.json", "manifest.json", "report.json")


def repository_digests(subject: RepositorySubject) -> Digests:
    """SHA-256 by path_in_repo of the files in SAE folders, and of the training record.

    Files on a Hub that it states no SHA-256 for, and that are too large to fetch for it, are
    left out.
    """
    repository, folders = subject.repository, set(subject.sae_folders)
    return {
        path: repository.sha256(path)
        for path in repository.files
        if path not in _RENDERED
        and (path == TRAINING_RECORD or (path.rpartition("/")[0] or ".") in folders)
        and repository.sha256_is_cheap(path)
    }


def data_digests(loaded: LoadedManifest) -> Digests:
    """SHA-256 of the completions as they lie on the disk, by the name the manifest gives them.

    Empty where the manifest names no file, or it is not there.
    """
    name = loaded.manifest.data.file
    if name is None:
        return {}
    path = loaded.file_beside(name)
    return {name: file_sha256(path)} if path.is_file() else {}
