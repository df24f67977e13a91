"""Exactly one commit, whatever the network does to the question or the answer.

An exception of the client decides nothing: a request may fail after the Hub has acted on it. After
one, the repository is read, and what it holds tells whether the commit happened.
"""

from __future__ import annotations

from itertools import pairwise

from manifests.progress import Progress
from release.hub_connection import HubConnection, hub_errors_explained, without_client_bars
from release.publishing.planned_commit import (
    Commit,
    Committed,
    HeadMoved,
    answers_explained,
    head_moved,
    upload,
)
from release.publishing.remote_tree import remote_tree
from release.publishing.staged_commit import staged_commit
from validators.reading.repository import HubUnavailable

__all__ = ["MAX_OPERATIONS", "Commit", "Committed", "HeadMoved", "one_commit"]

MAX_OPERATIONS = 250
"""Files that are sent in one request; more are staged and switched.

The Hub checks every file while the client waits, and ends a request after 60 s: its documentation
advises 50 to 100 files (hub-docs, storage-limits.md, "Number of operations per commit"). The client
itself begins with 250 (huggingface_hub/_upload_pipeline.py, INITIAL_COMMIT_SIZE_INDEX), at which
the Hub's check of the parent commit is kept for most releases.
"""


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
    More than `MAX_OPERATIONS` are staged first; `main` shows one commit all the same.

    Raises:
        HeadMoved: `main` is no longer the parent; nothing was committed.
        MergedWithOthers: a staged release was merged onto a commit that came in that moment.
        HubUnavailable: the Hub or the network failed, and the repository is as it was.
    """
    if len(commit.operations) > MAX_OPERATIONS:
        return staged_commit(
            repo_id,
            commit,
            connection,
            max_operations=MAX_OPERATIONS,
            pull_request=pull_request,
            progress=progress,
        )
    if pull_request and (opened := _pull_request(repo_id, commit, connection)):
        progress.note(f"a pull request of {repo_id} holds this already: {opened.pull_request}")
        return opened
    upload(repo_id, commit.operations, connection, progress, pull_request=pull_request)
    try:
        with without_client_bars(), answers_explained(repo_id, connection):
            info = connection.api().create_commit(
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
        raise head_moved(repo_id, commit, found, connection) from error


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
