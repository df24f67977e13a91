"""Read a release back from the Hub, at its commit, into an empty cache; compare every digest."""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Callable
from pathlib import Path

from manifests.digests import file_sha256
from manifests.errors import ReleaseError
from manifests.progress import Progress
from release.hub_connection import HubConnection, hub_errors_explained, without_client_bars
from release.publishing.release_files import ReleaseFile


class ReadBackMismatch(ReleaseError):
    """The Hub serves other bytes than were sent."""


def read_back(
    repo_id: str,
    commit: str,
    files: dict[str, ReleaseFile],
    connection: HubConnection,
    *,
    way_back: Callable[[], str] | None = None,
    progress: Progress,
) -> None:
    """Download every file of a release at `commit` and compare its SHA-256.

    The commit is named by its oid and the cache is new, since the client answers from an old
    cache without a word when the Hub fails. `way_back` is asked for the command that undoes the
    commit, where there was one on `main`.

    Raises:
        ReadBackMismatch: a file is absent or differs; names all such files.
        HubUnavailable: the Hub cannot be read.
    """
    wrong: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="sae-release-", ignore_cleanup_errors=True) as folder,
        progress.task(f"read back {len(files)} files", total=len(files)) as task,
    ):
        copy = Path(folder) / "copy"
        with (
            without_client_bars(),
            hub_errors_explained(f"reading back {repo_id}", connection),
        ):
            connection.api().snapshot_download(
                repo_id,
                revision=commit,
                allow_patterns=[glob.escape(path) for path in sorted(files)],
                cache_dir=Path(folder) / "cache",
                local_dir=copy,
            )
        for name, file in files.items():
            there = copy / Path(*name.split("/"))
            if not there.is_file():
                wrong.append(f"{name} is absent")
            elif (found := file_sha256(there)) != file.sha256:
                wrong.append(f"{name} has sha256 {found[:12]}, sent was {file.sha256[:12]}")
            task.advance()
    if wrong:
        raise ReadBackMismatch(
            "the Hub does not hold what was sent:\n" + "\n".join(f"  - {line}" for line in wrong),
            where=f"{connection.endpoint}/{repo_id} at {commit}",
            expected="the digests of the files on disk",
            next_step=(
                "run the same command again, and do not announce this release; if it says the "
                f"same: {way_back()}"
                if way_back is not None
                else "run the same command again; do not announce this release"
            ),
        )
