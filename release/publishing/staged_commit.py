"""A release of more files than one request carries well: staged in parts, visible in one step.

The parts are commits of a draft pull request, which nobody can merge. Once the whole is there and
was read, the draft is published and merged: on `main` that is one commit. The pull request's title
ends with a digest of the parent and of everything that is to change, so that an attempt that broke
off is found and continued, and is not taken for another one.

A merge does not name the head that it was planned against, as a commit does. So `main` is looked at
right before it; the Hub refuses the merge where both sides changed a file; and the merged tree is
compared with the planned one.

Sources: hub-docs, repositories-pull-requests-discussions.md ("Draft mode") and storage-limits.md
(the merge of a pull request as one commit); huggingface_hub/_upload_pipeline.py, which stages
uploads in the same way.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from manifests.errors import ReleaseError
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
from release.publishing.remote_tree import RemoteTree, remote_tree
from validators.reading.repository import HubUnavailable

_KEYLESS_AUTHOR = "[OIDC]"
_STALE = "The head has moved on since this was staged."
_TITLE = re.compile(r".* \[[0-9a-f]{12}\]")


class MergedWithOthers(ReleaseError):
    """The release is on `main` as one commit, on top of one that came in the same moment."""


@dataclass(frozen=True)
class _Staging:
    """A pull request of this release.

    Attributes:
        num: its number.
        url: its page.
        is_draft: whether it cannot be merged yet.
        head: the last commit of its ref.
        n_parts: how many commits it has on top of the planned parent.
    """

    num: int
    url: str
    is_draft: bool
    head: str
    n_parts: int

    @property
    def revision(self) -> str:
        return f"refs/pr/{self.num}"


def staged_commit(
    repo_id: str,
    commit: Commit,
    connection: HubConnection,
    *,
    max_operations: int,
    pull_request: bool,
    progress: Progress,
) -> Committed:
    """Bring a release to a pull request in parts of `max_operations`, then merge it.

    With `pull_request` it is published and left open. Run again after any end it continues.

    Raises:
        HeadMoved: `main` is no longer the parent; nothing of the release is visible there.
        MergedWithOthers: as its description says; nothing of the others was overwritten.
        HubUnavailable: the Hub or the network failed; `main` is as it was, or holds the whole.
    """
    operations = sorted(commit.operations, key=_order)
    parts = [
        operations[start : start + max_operations]
        for start in range(0, len(operations), max_operations)
    ]
    stage = _Stage(repo_id, commit, connection, f"{commit.message} [{_digest(commit, parts)}]")
    staging = stage.find()
    if staging is None or staging.n_parts < len(parts):
        left = parts[staging.n_parts if staging else 0 :]
        changes = [operation for part in left for operation in part]
        upload(repo_id, changes, connection, progress, pull_request=pull_request)
        staging = staging or stage.open()
        progress.note(f"{len(operations)} changes are staged in {len(parts)} parts: {staging.url}")
        with progress.task("stage the parts", total=len(left)) as task:
            for part in left:
                staging = stage.add(staging, part, n_parts=len(parts))
                task.advance()
    stage.require_whole(staging)
    if pull_request:
        stage.publish(staging)
        return Committed(staging.head, staging.url)
    stage.require_head_or_close(staging)
    stage.publish(staging)
    return Committed(stage.merge(staging, progress))


def _order(operation: Any) -> tuple[bool, bool, str]:
    """Deletions first, so that no file stands where a folder comes; then the card.

    The Hub refuses a card whose metadata is wrong, which is better known before all the rest.
    """
    from huggingface_hub import CommitOperationDelete

    path = str(operation.path_in_repo)
    return not isinstance(operation, CommitOperationDelete), path != "README.md", path


def _digest(commit: Commit, parts: Sequence[Sequence[Any]]) -> str:
    """12 hexadecimal digits of the parent and of every change, in its part."""
    said = [commit.parent, [[_facts(operation) for operation in part] for part in parts]]
    return hashlib.sha256(json.dumps(said).encode("utf-8")).hexdigest()[:12]


def _facts(operation: Any) -> list[str | None]:
    from huggingface_hub import CommitOperationAdd, CommitOperationCopy

    if isinstance(operation, CommitOperationAdd):
        return ["add", operation.path_in_repo, operation.upload_info.sha256.hex()]
    if isinstance(operation, CommitOperationCopy):
        source = operation.src_path_in_repo
        return ["copy", operation.path_in_repo, source, operation.src_revision]
    return ["delete", str(operation.path_in_repo)]


@dataclass(frozen=True)
class _Stage:
    """The steps of one staged release; after an error each reads what the Hub holds."""

    repo_id: str
    commit: Commit
    connection: HubConnection
    title: str

    def find(self) -> _Staging | None:
        """The pull request of this release that an earlier attempt left; None for none.

        Drafts of this account that were staged for a former head are closed: nobody continues
        them.
        """
        from huggingface_hub.errors import HfHubHTTPError

        api = self.connection.api()
        with self._reading():
            try:
                author = str(api.whoami()["name"])
            except HfHubHTTPError as error:
                if error.response is None or error.response.status_code not in (401, 403):
                    raise
                author = _KEYLESS_AUTHOR
            own = [
                each
                for each in api.get_repo_discussions(self.repo_id, discussion_type="pull_request")
                if each.author == author
                and each.status in ("open", "draft")
                and _TITLE.fullmatch(each.title)
            ]
        found = None
        for each in own:
            is_same, is_draft = each.title == self.title, each.status == "draft"
            if not is_same and not is_draft:
                continue  # Left open for a review, by somebody who asked for that.
            history = self._history(f"refs/pr/{each.num}")
            if self.commit.parent in history:
                n_parts = history.index(self.commit.parent)
                if is_same:
                    found = _Staging(each.num, each.url, is_draft, history[0], n_parts)
            else:
                self._close(each.num, _STALE)
        return found

    def open(self) -> _Staging:
        """A new draft on the planned parent.

        Raises:
            HeadMoved: `main` is elsewhere.
        """
        self.require_head()
        try:
            with answers_explained(self.repo_id, self.connection):
                self.connection.api().create_pull_request(
                    self.repo_id,
                    title=self.title,
                    description="Staged in parts by sae-release, and merged once all are there.",
                )
        except HubUnavailable:
            if (found := self.find()) is None:
                raise
            return found
        found = self.find()
        if found is None or found.n_parts:
            # Opened on a commit that came since `main` was looked at.
            if found is not None:
                self._close(found.num, _STALE)
            self.require_head()
            raise self._unexpected("the Hub does not show the pull request that it opened")
        return found

    def add(self, staging: _Staging, part: Sequence[Any], *, n_parts: int) -> _Staging:
        """One more part on top."""
        number = staging.n_parts + 1
        try:
            with without_client_bars(), answers_explained(self.repo_id, self.connection):
                info = self.connection.api().create_commit(
                    self.repo_id,
                    part,
                    commit_message=f"{self.commit.message}: part {number} of {n_parts}",
                    revision=staging.revision,
                    parent_commit=staging.head,
                )
            head = str(info.oid)
        except HubUnavailable:
            history = self._history(staging.revision)
            if history[1:2] != [staging.head]:
                raise
            head = history[0]
        return _Staging(staging.num, staging.url, staging.is_draft, head, number)

    def require_whole(self, staging: _Staging) -> None:
        """Refuse a pull request that holds anything but the parent with the planned changes.

        It is closed, so that the next attempt begins with another.
        """
        if not self._is_as_planned(staging.head):
            self._close(staging.num, "This is not what was to be staged.")
            raise self._unexpected(f"{staging.url} holds something else than was sent")

    def require_head(self) -> None:
        """Refuse where `main` is no longer the planned parent.

        Raises:
            HeadMoved: somebody committed.
        """
        with self._reading():
            head = str(self.connection.api().repo_info(self.repo_id).sha)
        if head != self.commit.parent:
            raise head_moved(self.repo_id, self.commit, head, self.connection)

    def require_head_or_close(self, staging: _Staging) -> None:
        """The same, and a pull request that nobody can use any more is closed.

        Raises:
            HeadMoved: somebody committed.
        """
        try:
            self.require_head()
        except HeadMoved:
            self._close(staging.num, _STALE)
            raise

    def publish(self, staging: _Staging) -> None:
        """Turn the draft into a pull request that can be merged."""
        if not staging.is_draft:
            return
        try:
            with answers_explained(self.repo_id, self.connection):
                self.connection.api().change_discussion_status(self.repo_id, staging.num, "open")
        except HubUnavailable:
            if self._details(staging).status != "open":
                raise

    def merge(self, staging: _Staging, progress: Progress) -> str:
        """Make the whole visible, and return the commit on `main`."""
        lost: HubUnavailable | None = None
        self.require_head_or_close(staging)
        try:
            with answers_explained(self.repo_id, self.connection):
                self.connection.api().merge_pull_request(self.repo_id, staging.num)
        except HubUnavailable as error:
            lost = error
        details = self._details(staging)
        if details.status != "merged" or details.merge_commit_oid is None:
            self.require_head_or_close(staging)
            raise lost or self._unexpected(f"the Hub has not merged {staging.url}")
        oid = str(details.merge_commit_oid)
        if lost is not None:
            progress.note(f"the Hub's answer was lost, but {oid[:12]} holds the release")
        if not self._is_as_planned(oid):
            raise MergedWithOthers(
                f"the release is there, but together with a commit that came right before it: "
                f"{oid[:12]} does not hold {self.commit.parent[:12]} and the release alone",
                where=f"{self.repo_id} on {self.connection.endpoint}",
                expected="the head that the push was planned against",
                next_step=(
                    "look at the files that others changed, none of which was overwritten; then "
                    "run the same command again to accept, or `release rollback`"
                ),
            )
        return oid

    def _is_as_planned(self, revision: str) -> bool:
        """Whether a commit holds the parent's tree with the planned changes, and nothing else."""
        tree, parent = self._tree(revision), self._tree(self.commit.parent)
        changed = {str(operation.path_in_repo) for operation in self.commit.operations}
        others = (tree.files.keys() | parent.files.keys()) - changed
        return self.commit.is_done(tree) and all(
            tree.files.get(path) == parent.files.get(path) for path in others
        )

    def _tree(self, revision: str) -> RemoteTree:
        tree = remote_tree(self.repo_id, self.connection, revision=revision)
        if tree is None:
            raise self._unexpected("the repository is gone")
        return tree

    def _history(self, revision: str) -> list[str]:
        with self._reading():
            commits = self.connection.api().list_repo_commits(self.repo_id, revision=revision)
        return [each.commit_id for each in commits]

    def _details(self, staging: _Staging) -> Any:
        with self._reading():
            return self.connection.api().get_discussion_details(self.repo_id, staging.num)

    def _close(self, num: int, comment: str) -> None:
        with answers_explained(self.repo_id, self.connection):
            self.connection.api().change_discussion_status(
                self.repo_id, num, "closed", comment=comment
            )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        doing = f"reading the pull requests of {self.repo_id}"
        with hub_errors_explained(doing, self.connection):
            yield

    def _unexpected(self, what: str) -> HubUnavailable:
        return HubUnavailable(
            what,
            where=f"{self.repo_id} on {self.connection.endpoint}",
            expected="the planned parent with the release on top",
            next_step="run the same command again",
        )
