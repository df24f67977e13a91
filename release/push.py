"""Publish a release: everything checked first, uploaded next, then one commit, then read back.

Invariants, whatever happens in between (an error, a lost answer, a kill):

- `main` shows the former release or this one, never a part: there is exactly one commit, and it
  names the head it was planned against as its parent.
- An exception of the client decides nothing. After one, the head is read, and its tree tells
  whether the commit happened.
- Running the command again after any end finishes the work: files that arrived are not sent again,
  and a release that is already there makes no commit.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from manifests.build_folder import BuildFolder, write_atomically
from manifests.load import LoadedManifest
from manifests.progress import Progress
from manifests.tool_version import tool_version
from release.gate import NotReady, require_ready
from release.hub_connection import HubConnection, hub_errors_explained, without_client_bars
from release.push_plan import PushPlan, RemoteFile, compare
from release.read_back import read_back
from release.release_files import ReleaseFile, release_files
from validators.reading.repository import HubUnavailable

if TYPE_CHECKING:
    from huggingface_hub import HfApi


# The client uploads the files of one call side by side; between calls the progress bar moves.
_FILES_PER_UPLOAD = 16


class HeadMoved(NotReady):
    """Somebody else committed since the plan was made; their work is never overwritten."""


@dataclass(frozen=True)
class Receipt:
    """What a push left on the Hub, after it was read back."""

    repo_id: str
    endpoint: str
    parent: str
    commit: str
    n_commits: int
    n_files: int
    sent_files: int
    sent_bytes: int
    stays: tuple[str, ...]
    sha256: dict[str, str]


def push(
    loaded: LoadedManifest,
    build: BuildFolder,
    connection: HubConnection,
    *,
    public: bool,
    progress: Progress,
) -> Receipt:
    """Push a release in one commit and read it back.

    Args:
        loaded: the manifest.
        build: its build folder; `work/receipt.json` is written there at the end.
        connection: the Hub.
        public: a repository that does not exist yet is created public; one that exists keeps its
            visibility.
        progress: where to report.

    Raises:
        IncompleteRelease: files are missing, or foreign ones lie among them.
        NotReady, NotChecked: the report or the card does not allow it; nothing was sent.
        HeadMoved: the repository changed since it was planned; nothing was committed.
        HubUnavailable: the Hub or the network failed; the head is as it was.
        ReadBackMismatch: what is on the Hub is not what was sent.
    """
    files = release_files(loaded, build)
    require_ready(loaded, build, files)
    receipt = publish_files(
        loaded.manifest.repo_id, files, connection, public=public, progress=progress
    )
    content = json.dumps(asdict(receipt), indent=2, sort_keys=True) + "\n"
    write_atomically(build.work / "receipt.json", content.encode("utf-8"))
    return receipt


def publish_files(
    repo_id: str,
    files: dict[str, ReleaseFile],
    connection: HubConnection,
    *,
    public: bool,
    progress: Progress,
) -> Receipt:
    """Bring the head of `repo_id` to hold exactly these bytes under these names, by one commit.

    Raises:
        HeadMoved, HubUnavailable, ReadBackMismatch: as `push`.
    """
    api = connection.api()
    with hub_errors_explained(f"creating {repo_id}", connection):
        if not api.repo_exists(repo_id):
            api.create_repo(repo_id, private=not public, exist_ok=True)
    plan = plan_push(repo_id, files, connection)
    commit = plan.parent
    if plan.sends:
        commit = _commit(api, repo_id, plan, files, connection, progress)
    else:
        progress.note(f"{repo_id} holds this release already, at {plan.parent[:12]}: no commit")
    read_back(repo_id, commit, files, connection, progress=progress)
    return Receipt(
        repo_id=repo_id,
        endpoint=connection.endpoint,
        parent=plan.parent,
        commit=commit,
        n_commits=int(commit != plan.parent),
        n_files=len(files),
        sent_files=len(plan.sends),
        sent_bytes=plan.size_bytes,
        stays=plan.stays,
        sha256={name: file.sha256 for name, file in files.items()},
    )


def plan_push(repo_id: str, files: dict[str, ReleaseFile], connection: HubConnection) -> PushPlan:
    """Hold a release against the head of `main`.

    Raises:
        HubUnavailable: the head or its tree cannot be read.
    """
    with hub_errors_explained(f"reading the head of {repo_id}", connection):
        head = _head(connection.api(), repo_id)
        remote = _tree(connection.api(), repo_id, head)
    return compare(files, remote, parent=head)


def _commit(
    api: HfApi,
    repo_id: str,
    plan: PushPlan,
    files: dict[str, ReleaseFile],
    connection: HubConnection,
    progress: Progress,
) -> str:
    """Upload, make the one commit, and return its oid."""
    from huggingface_hub import CommitOperationAdd

    operations = [
        CommitOperationAdd(path_in_repo=file.path_in_repo, path_or_fileobj=file.path)
        for file in plan.sends
    ]
    with (
        progress.task(f"upload {len(operations)} files", total=len(operations)) as task,
        without_client_bars(),
        hub_errors_explained(f"uploading to {repo_id}", connection),
    ):
        for start in range(0, len(operations), _FILES_PER_UPLOAD):
            batch = operations[start : start + _FILES_PER_UPLOAD]
            api.preupload_lfs_files(repo_id, additions=batch, free_memory=False)
            task.advance(len(batch))
    try:
        with (
            without_client_bars(),
            hub_errors_explained(f"committing to {repo_id}", connection),
        ):
            info = api.create_commit(
                repo_id,
                operations,
                commit_message=f"Release {len(files)} files with sae-release {tool_version()}",
                parent_commit=plan.parent,
            )
            return str(info.oid)
    except HubUnavailable as error:
        # The answer may have been lost after the commit was made, so the tree decides.
        after = plan_push(repo_id, files, connection)
        if not after.sends and after.parent != plan.parent:
            progress.note(f"the Hub's answer was lost, but {after.parent[:12]} holds the release")
            return after.parent
        if after.parent != plan.parent:
            raise HeadMoved(
                f"the head of {repo_id} moved from {plan.parent[:12]} to {after.parent[:12]}",
                where=connection.endpoint,
                expected="the head that the push was planned against",
                next_step="look at the new commit, then run the same command again",
            ) from error
        raise


def _head(api: HfApi, repo_id: str) -> str:
    return str(api.repo_info(repo_id, revision="main").sha)


def _tree(api: HfApi, repo_id: str, revision: str) -> dict[str, RemoteFile]:
    from huggingface_hub.hf_api import RepoFile

    return {
        entry.path: RemoteFile(
            path_in_repo=entry.path,
            size_bytes=entry.size,
            git_oid=entry.blob_id,
            lfs_sha256=entry.lfs.sha256 if entry.lfs else None,
        )
        for entry in api.list_repo_tree(repo_id, revision=revision, recursive=True)
        if isinstance(entry, RepoFile)
    }
