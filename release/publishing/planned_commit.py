"""What a repository is to become by one visible commit, and what both ways to make it share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from manifests.progress import Progress
from release.gate import NotReady
from release.hub_connection import HubConnection, hub_errors_explained, without_client_bars
from release.publishing.remote_tree import RemoteTree
from validators.reading.repository import HubUnavailable

# The client uploads the files of one call side by side; between calls the progress bar moves.
_FILES_PER_UPLOAD = 16


class HeadMoved(NotReady):
    """Somebody else committed since the plan was made; their work is never overwritten."""


@dataclass(frozen=True)
class Commit:
    """What a repository is to become, by one commit.

    Attributes:
        operations: as huggingface_hub takes them.
        message: the commit's title.
        parent: the head that it was planned against.
        is_done: whether a tree holds what the commit was to bring.
    """

    operations: Sequence[Any]
    message: str
    parent: str
    is_done: Callable[[RemoteTree], bool]


@dataclass(frozen=True)
class Committed:
    """The commit, and the address of its pull request if it is one."""

    oid: str
    pull_request: str | None = None


def head_moved(repo_id: str, commit: Commit, head: str, connection: HubConnection) -> HeadMoved:
    """The refusal where `main` is at `head` and not at the commit's parent."""
    return HeadMoved(
        f"the head of {repo_id} moved from {commit.parent[:12]} to {head[:12]}",
        where=connection.endpoint,
        expected="the head that the push was planned against",
        next_step="look at the new commit, then run the same command again",
    )


def upload(
    repo_id: str,
    operations: Sequence[Any],
    connection: HubConnection,
    progress: Progress,
    *,
    pull_request: bool,
) -> None:
    """Send the large files among the operations; those that arrived before are not sent again.

    Raises:
        HubUnavailable: the Hub or the network failed.
    """
    from huggingface_hub import CommitOperationAdd

    adds: list[CommitOperationAdd] = [
        operation for operation in operations if isinstance(operation, CommitOperationAdd)
    ]
    if not adds:
        return
    with (
        progress.task(f"upload {len(adds)} files", total=len(adds)) as task,
        without_client_bars(),
        hub_errors_explained(f"uploading to {repo_id}", connection),
    ):
        for start in range(0, len(adds), _FILES_PER_UPLOAD):
            batch = adds[start : start + _FILES_PER_UPLOAD]
            connection.api().preupload_lfs_files(
                repo_id, additions=batch, free_memory=False, create_pr=pull_request
            )
            task.advance(len(batch))


@contextmanager
def answers_explained(repo_id: str, connection: HubConnection) -> Iterator[None]:
    """Errors while a commit is made, also of an answer that is not what the client expects.

    Raises:
        HubUnavailable: any of them.
    """
    doing = f"committing to {repo_id}"
    try:
        with hub_errors_explained(doing, connection):
            yield
    except (ValueError, KeyError) as error:
        # An answer that is no JSON or lacks a key; or the Hub's complaint about the card.
        raise HubUnavailable(
            f"the client gave up: {' '.join(str(error).split())[:300]}",
            where=f"{doing} at {connection.endpoint}",
            expected="a card that the Hub accepts, and the oid of the commit for an answer",
            next_step="mend what is named here, or run the same command again",
        ) from error
