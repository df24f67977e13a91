"""Bring a repository back to what it held at an earlier revision, by one commit on top.

History is never rewritten: the commits in between stay, and a rollback can itself be rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from manifests.errors import UsageError
from manifests.progress import Progress
from release.hub_connection import HubConnection
from release.publishing.one_commit import Commit, one_commit
from release.publishing.remote_tree import RemoteTree, remote_tree
from validators.reading.repository import HubUnavailable


@dataclass(frozen=True)
class RollbackPlan:
    """What a rollback would change; `restores` are files that come back or change."""

    repo_id: str
    to: str
    target: RemoteTree
    head: RemoteTree
    restores: tuple[str, ...]
    deletes: tuple[str, ...]

    @property
    def has_changes(self) -> bool:
        """Whether the head differs from the revision."""
        return bool(self.restores or self.deletes)


def plan_rollback(repo_id: str, to: str, connection: HubConnection) -> RollbackPlan:
    """Hold the head against an earlier revision.

    Raises:
        UsageError: there is no such repository, or no such revision of it.
        HubUnavailable: the Hub does not answer.
    """
    head = remote_tree(repo_id, connection)
    target = _at(repo_id, to, connection)
    if head is None or target is None:
        raise UsageError(
            "the Hub knows no such repository, or this token may not see it",
            where=f"{repo_id} on {connection.endpoint}",
            expected="owner/name of a repository that can be written",
            next_step="check the spelling; for a private one `hf auth login` or set HF_TOKEN",
        )
    return RollbackPlan(
        repo_id=repo_id,
        to=to,
        target=target,
        head=head,
        restores=tuple(
            path
            for path, file in sorted(target.files.items())
            if path not in head.files or head.files[path] != file
        ),
        deletes=tuple(sorted(head.files.keys() - target.files.keys())),
    )


def _at(repo_id: str, to: str, connection: HubConnection) -> RemoteTree | None:
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        return remote_tree(repo_id, connection, revision=to)
    except HubUnavailable as error:
        if not isinstance(error.__cause__, RevisionNotFoundError):
            raise
        raise UsageError(
            error.what, where=error.where, expected=error.expected, next_step=error.next_step
        ) from error


def roll_back(plan: RollbackPlan, connection: HubConnection, *, progress: Progress) -> str:
    """Carry a rollback out and return the new head's oid; the head itself where nothing differs.

    Large files are copied on the Hub, so nothing of them is downloaded or sent.

    Raises:
        HeadMoved: somebody committed since the plan was made; nothing was changed.
        HubUnavailable: the Hub or the network failed, and the repository is as it was.
    """
    from huggingface_hub import CommitOperationCopy, CommitOperationDelete

    if not plan.has_changes:
        return plan.head.oid
    operations: list[Any] = [
        CommitOperationCopy(src_path_in_repo=path, path_in_repo=path, src_revision=plan.target.oid)
        for path in plan.restores
    ]
    operations += [CommitOperationDelete(path_in_repo=path) for path in plan.deletes]
    done = one_commit(
        plan.repo_id,
        Commit(
            operations=operations,
            message=f"Roll back to {plan.to} ({plan.target.oid[:12]})",
            parent=plan.head.oid,
            is_done=lambda tree: tree.files == plan.target.files,
        ),
        connection,
        progress=progress,
    )
    return done.oid
