"""The part of a release that a new card changes: card, index, manifest, figures; never an SAE."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.digests import file_sha256
from manifests.load import LoadedManifest
from release.hub_connection import HubConnection, hub_errors_explained, without_client_bars
from release.publishing.release_files import ReleaseFile, card_files, describe_file
from release.publishing.remote_tree import RemoteTree


@dataclass(frozen=True)
class CardRelease:
    """What a push of the card alone consists of.

    Attributes:
        files: the card's files on disk, by path_in_repo.
        beside: SHA-256 of the SAEs' files as the Hub holds them, which the card must be of.
    """

    files: dict[str, ReleaseFile]
    beside: dict[str, str]

    def is_of_card(self, path_in_repo: str) -> bool:
        """Whether a push of the card alone may change or delete a file."""
        return path_in_repo in self.files or path_in_repo.startswith("figures/")


def card_release(
    loaded: LoadedManifest,
    build: BuildFolder,
    tree: RemoteTree | None,
    connection: HubConnection,
) -> CardRelease:
    """The card on disk, and the SAEs on the Hub that it stands beside.

    Raises:
        IncompleteRelease: a file of the card is missing.
        HubUnavailable: the Hub does not answer.
    """
    wanted = {
        f"{spec.sae_id}/{name}": build.repository / spec.sae_id / name
        for spec in loaded.saes
        for name in (SAE_CONFIG, SAE_WEIGHTS)
    }
    return CardRelease(
        files=card_files(loaded, build),
        beside={} if tree is None else _digests(loaded.manifest.repo_id, tree, wanted, connection),
    )


def _digests(
    repo_id: str, tree: RemoteTree, wanted: dict[str, Path], connection: HubConnection
) -> dict[str, str]:
    """SHA-256 of files on the Hub, which itself names that of the large ones only.

    A small file that lies on disk with the same bytes, by the digest that the Hub does name, is
    not downloaded: each one costs two requests.
    """
    digests: dict[str, str] = {}
    unknown = []
    for path, local in wanted.items():
        there = tree.files.get(path)
        if there is None:
            continue
        if there.lfs_sha256 is not None:
            digests[path] = there.lfs_sha256
        elif local.is_file() and there.is_same_as(own := describe_file(path, local)):
            digests[path] = own.sha256
        else:
            unknown.append(path)
    if unknown:
        with (
            tempfile.TemporaryDirectory(prefix="sae-release-", ignore_cleanup_errors=True) as cache,
            without_client_bars(),
            hub_errors_explained(f"reading the configurations of {repo_id}", connection),
        ):
            copy = Path(
                connection.api().snapshot_download(
                    repo_id, revision=tree.oid, allow_patterns=unknown, cache_dir=cache
                )
            )
            digests |= {path: file_sha256(copy / Path(*path.split("/"))) for path in unknown}
    return digests
