"""SHA-256 of a repository's files, and how each was come by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from manifests.digests import file_sha256
from release.hub_connection import HubConnection, hub_errors_explained
from validators.reading.hub_repository import HubRepository
from validators.reading.repository import Repository


@dataclass
class Digests:
    """The digests of one repository, each computed once.

    Attributes:
        repository: whose files.
        stated: what the Hub itself says, of the files that it keeps outside of git under their
            SHA-256; empty of a folder, and where every byte is to be downloaded.
    """

    repository: Repository
    stated: Mapping[str, str] = field(default_factory=dict)
    _known: dict[str, str] = field(default_factory=dict)

    def sha256(self, path: str) -> str:
        """Of the bytes that are there, or that the Hub says are there.

        Raises:
            HubUnavailable: the file cannot be downloaded.
            UnreadableFile: there is no such file, or it cannot be read.
        """
        if path not in self._known:
            self._known[path] = self.stated.get(path) or file_sha256(self.repository.fetch(path))
        return self._known[path]

    def means(self, paths: tuple[str, ...]) -> str:
        """In words, how the digests of these files were come by."""
        n_stated = sum(path in self.stated for path in paths)
        n_hashed = len(paths) - n_stated
        how = "hashed here" if self.repository.is_local else "downloaded and hashed"
        parts = [f"{n_stated} by the SHA-256 that the Hub keeps them under"] if n_stated else []
        parts += [f"{n_hashed} {how}"] if n_hashed else []
        return ", ".join(parts)


def digests_of(
    repository: Repository, connection: HubConnection, *, download: bool = False
) -> Digests:
    """The digests of a repository's files, computed when they are asked for.

    Args:
        repository: the files.
        connection: the Hub that a `HubRepository` is on.
        download: take the Hub's word for no file.

    Raises:
        HubUnavailable: the Hub's tree cannot be read.
    """
    if not isinstance(repository, HubRepository) or download:
        return Digests(repository)
    from huggingface_hub.hf_api import RepoFile

    with hub_errors_explained(f"reading the tree of {repository.name}", connection):
        tree = connection.api().list_repo_tree(
            repository.name, revision=repository.oid, recursive=True
        )
        stated = {
            entry.path: entry.lfs.sha256
            for entry in tree
            if isinstance(entry, RepoFile) and entry.lfs is not None
        }
    return Digests(repository, stated)
