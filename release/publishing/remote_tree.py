"""The head of a repository on the Hub: its commit, and every file with the Hub's own digests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from release.hub_connection import HubConnection, hub_errors_explained
from release.publishing.tree_difference import RemoteFile

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True)
class RemoteTree:
    """One commit of a repository.

    Attributes:
        oid: the commit, 40 hexadecimal digits.
        is_private: who can see the repository.
        files: by path_in_repo.
        gated: who may load the files: `auto`, `manual`, or False for whoever sees them.
        license: as the Hub reads it from the card; None where the card names none.
    """

    oid: str
    is_private: bool
    files: dict[str, RemoteFile]
    gated: str | bool = False
    license: str | None = None


def remote_tree(
    repo_id: str, connection: HubConnection, *, revision: str = "main"
) -> RemoteTree | None:
    """Read a repository at a revision; None where the Hub has no such repository.

    Raises:
        HubUnavailable: the Hub does not answer, refuses, or has no such revision.
    """
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    api = connection.api()
    with hub_errors_explained(f"reading {repo_id}", connection):
        try:
            info = api.model_info(repo_id, revision=revision)
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return None
        oid = str(info.sha)
        return RemoteTree(
            oid=oid,
            is_private=bool(info.private),
            files=_files(api, repo_id, oid),
            gated=info.gated or False,
            license=info.card_data.get("license") if info.card_data else None,
        )


def _files(api: HfApi, repo_id: str, oid: str) -> dict[str, RemoteFile]:
    from huggingface_hub.hf_api import RepoFile

    return {
        entry.path: RemoteFile(
            path_in_repo=entry.path,
            size_bytes=entry.size,
            git_oid=entry.blob_id,
            lfs_sha256=entry.lfs.sha256 if entry.lfs else None,
        )
        for entry in api.list_repo_tree(repo_id, revision=oid, recursive=True)
        if isinstance(entry, RepoFile)
    }
