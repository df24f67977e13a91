"""Exactly one commit, whatever the network does to the question or the answer.

An exception of the client decides nothing: a request may fail after the Hub has acted on it. After
one, the repository is read, and what it holds tells whether the commit happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from manifests.progress import Progress
from release.gate import NotReady
from release.hub_connection import HubConnection, hub_errors_explained, without_client_bars
from release.publishing.client_log import hide_signed_urls
from release.publishing.remote_tree import RemoteTree, remote_tree
from validators.reading.repository import HubUnavailable

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

# The client uploads the files of one call side by side; between calls the progress bar moves.
_FILES_PER_UPLOAD = 16
_MAIN = "main"


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


def one_commit(
    repo_id: str,
    commit: Commit,
    connection: HubConnection,
    *,
    pull_request: bool = False,
    progress: Progress,
) -> Committed:
    """Upload what is large, then make the commit on `main` or as a pull request.

    Uploads that arrived are not sent again by the next attempt. An open pull request that holds the
    same already is taken for the answer: the attempt that opened it may have ended before it knew.

    Raises:
        HeadMoved: `main` is no longer the parent; nothing was committed.
        HubUnavailable: the Hub or the network failed, and the repository is as it was.
    """
    if pull_request and (opened := _pull_request(repo_id, commit, connection)):
        progress.note(f"a pull request of {repo_id} holds this already: {opened.pull_request}")
        return opened
    hide_signed_urls()
    api = connection.api()
    _upload(api, repo_id, commit.operations, connection, progress, pull_request=pull_request)
    try:
        with without_client_bars(), _answers_explained(repo_id, connection):
            info = api.create_commit(
                repo_id,
                commit.operations,
                commit_message=commit.message,
                parent_commit=commit.parent,
                create_pr=pull_request,
            )
            return Committed(str(info.oid), info.pr_url)
    except HubUnavailable as error:
        found = _after_an_error(repo_id, commit, connection, pull_request=pull_request)
        if found is None:
            raise
        if isinstance(found, Committed):
            progress.note(f"the Hub's answer was lost, but {found.oid[:12]} holds the release")
            return found
        raise HeadMoved(
            f"the head of {repo_id} moved from {commit.parent[:12]} to {found[:12]}",
            where=connection.endpoint,
            expected="the head that the push was planned against",
            next_step="look at the new commit, then run the same command again",
        ) from error


def _upload(
    api: HfApi,
    repo_id: str,
    operations: Sequence[Any],
    connection: HubConnection,
    progress: Progress,
    *,
    pull_request: bool,
) -> None:
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
            api.preupload_lfs_files(
                repo_id, additions=batch, free_memory=False, create_pr=pull_request
            )
            task.advance(len(batch))


@contextmanager
def _answers_explained(repo_id: str, connection: HubConnection) -> Iterator[None]:
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


def _after_an_error(
    repo_id: str, commit: Commit, connection: HubConnection, *, pull_request: bool
) -> Committed | str | None:
    """What the repository shows: the commit, another head's oid, or None for the former state.

    A commit that was made is the first one after its parent, whatever others put on top since.
    """
    if pull_request:
        return _pull_request(repo_id, commit, connection)
    tree = remote_tree(repo_id, connection)
    if tree is None or tree.oid == commit.parent:
        return None
    with hub_errors_explained(f"reading the history of {repo_id}", connection):
        history = [each.commit_id for each in connection.api().list_repo_commits(repo_id)]
    for child, parent in pairwise(history):
        if parent == commit.parent:
            there = remote_tree(repo_id, connection, revision=child)
            return Committed(child) if there and commit.is_done(there) else tree.oid
    return tree.oid


def _pull_request(repo_id: str, commit: Commit, connection: HubConnection) -> Committed | None:
    """The open pull request of this title whose tree holds what was to be brought."""
    api = connection.api()
    with hub_errors_explained(f"reading the pull requests of {repo_id}", connection):
        candidates = [
            discussion
            for discussion in api.get_repo_discussions(
                repo_id, discussion_type="pull_request", discussion_status="open"
            )
            if discussion.title == commit.message
        ]
    for discussion in candidates:
        revision = f"refs/pr/{discussion.num}"
        tree = remote_tree(repo_id, connection, revision=revision)
        if tree is not None and commit.is_done(tree):
            return Committed(tree.oid, discussion.url)
    return None
