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
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from cards.block_results import BlockResults
from cards.stage import README
from manifests.build_folder import BuildFolder, write_atomically
from manifests.errors import MissingExtra
from manifests.load import LoadedManifest
from manifests.progress import Progress
from manifests.tool_version import tool_version
from release.card_blocks import checked_blocks
from release.gate import NotChecked, NotReady, require_blocks, require_ready
from release.hub_connection import HubConnection, hub_errors_explained
from release.provenance.builder import builder_of
from release.provenance.publishing import with_provenance
from release.publishing.card_release import CardRelease, card_release
from release.publishing.one_commit import Commit, one_commit
from release.publishing.plan import RepositoryPlan
from release.publishing.read_back import read_back
from release.publishing.release_files import ReleaseFile, describe_file, release_files
from release.publishing.remote_tree import RemoteTree, remote_tree
from release.publishing.tree_difference import TreeDifference, compare
from release.publishing.version_tags import tag_release
from release.stand_in_model import NoStandIn
from validators.presenting.tally import counted
from validators.reading.repository import HubUnavailable

CARD = "card.json"


class StalePlan(NotReady):
    """What lies on disk or on the Hub is no longer what the plan was made from."""


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
    deleted: tuple[str, ...]
    stays: tuple[str, ...]
    sha256: dict[str, str]
    tag: str | None = None
    pull_request: str | None = None


@dataclass(frozen=True)
class PushOptions:
    """How to push.

    Attributes:
        public: a repository that does not exist yet is created public; one that exists keeps its
            visibility.
        cards_only: send the card, its index and figures alone.
        pull_request: open a pull request in place of a commit on `main`.
        base_model: what the card's code is to run on, as `block_base_model` takes it.
    """

    public: bool = False
    cards_only: bool = False
    pull_request: bool = False
    base_model: str | None = None


def push(
    loaded: LoadedManifest,
    build: BuildFolder,
    connection: HubConnection,
    *,
    options: PushOptions,
    reviewed: RepositoryPlan | None = None,
    progress: Progress,
) -> Receipt:
    """Push a release in one commit and read it back.

    The code blocks of the card are run first, unless they were run before on these very bytes.

    Args:
        loaded: the manifest.
        build: its build folder; `work/receipt.json` is written there at the end.
        connection: the Hub.
        options: how to push.
        reviewed: the plan that was agreed to: nothing else is done than what it says. Without one,
            what the former release put there and this one lacks stays.
        progress: where to report.

    Raises:
        IncompleteRelease: files are missing, or foreign ones lie among them.
        NotReady, NotChecked: the report or the card does not allow it, or the card's code does not
            run or cannot be run here; nothing was sent.
        StalePlan: the plan is not of this state; nothing was sent.
        HeadMoved: the repository changed since it was planned; nothing was committed.
        HubUnavailable: the Hub or the network failed; the head is as it was.
        ReadBackMismatch: what is on the Hub is not what was sent.
    """
    files = ready_files(loaded, build, connection, options=options, progress=progress)
    receipt = publish_files(
        loaded.manifest.repo_id,
        files,
        connection,
        public=options.public,
        pull_request=options.pull_request,
        reviewed=reviewed,
        progress=progress,
    )
    content = json.dumps(asdict(receipt), indent=2, sort_keys=True) + "\n"
    write_atomically(build.work / "receipt.json", content.encode("utf-8"))
    return receipt


def ready_files(
    loaded: LoadedManifest,
    build: BuildFolder,
    connection: HubConnection,
    *,
    options: PushOptions,
    progress: Progress,
) -> dict[str, ReleaseFile]:
    """The files to publish, once nothing of them changes any more and the gate lets them pass.

    Raises:
        IncompleteRelease, NotReady, NotChecked, HubUnavailable: as `push`.
    """
    cards = _cards(loaded, build, connection) if options.cards_only else None
    files = cards.files if cards else release_files(loaded, build)
    sha256 = {path: file.sha256 for path, file in files.items()}
    require_ready(loaded, build, {**sha256, **(cards.beside if cards else {})})
    require_blocks(loaded, _blocks(loaded, build, options.base_model, progress))
    # What came of the blocks was written into card.json.
    files = {**files, CARD: describe_file(CARD, build.card_json)}
    if cards is not None:
        return files
    return with_provenance(loaded, build, files, builder=builder_of(os.environ))


def _cards(loaded: LoadedManifest, build: BuildFolder, connection: HubConnection) -> CardRelease:
    tree = remote_tree(loaded.manifest.repo_id, connection)
    if tree is None:
        raise NotReady(
            "there is no repository yet whose card could be renewed",
            where=f"{loaded.manifest.repo_id} on {connection.endpoint}",
            expected="a release that was pushed before",
            next_step=f"release push {loaded.path}",
        )
    return card_release(loaded, build, tree, connection)


def _blocks(
    loaded: LoadedManifest, build: BuildFolder, base_model: str | None, progress: Progress
) -> BlockResults:
    """What came of the card's code blocks, run now if need be.

    Raises:
        NotChecked: they cannot be run on this machine.
    """
    try:
        return checked_blocks(loaded, build, base_model=base_model, progress=progress)
    except (MissingExtra, NoStandIn) as error:
        raise NotChecked(
            f"the code blocks of {README} were not run: {error.what}",
            where=loaded.manifest.repo_id,
            expected="every Python block of the card to run before a push",
            next_step=error.next_step,
        ) from error


def publish_files(
    repo_id: str,
    files: dict[str, ReleaseFile],
    connection: HubConnection,
    *,
    public: bool,
    pull_request: bool = False,
    reviewed: RepositoryPlan | None = None,
    progress: Progress,
) -> Receipt:
    """Bring the head of `repo_id` to hold these bytes under these names, by one commit.

    Raises:
        StalePlan, HeadMoved, HubUnavailable, ReadBackMismatch: as `push`.
    """
    found = plan_push(repo_id, files, connection)
    if reviewed is not None:
        _require_same(reviewed, found, connection)
    if found is None:
        with hub_errors_explained(f"creating {repo_id}", connection):
            connection.api().create_repo(repo_id, private=not public, exist_ok=True)
        found = plan_push(repo_id, files, connection)
    if found is None:
        raise HubUnavailable(
            "was made, but the Hub does not show it",
            where=f"{repo_id} on {connection.endpoint}",
            expected="a repository that this token may read",
            next_step="use a token that may read and write it",
        )
    deletes = _deletes_left(reviewed, found)
    commit, link = found.parent, None
    if found.sends or deletes:
        done = one_commit(
            repo_id,
            _commit(found, files, deletes),
            connection,
            pull_request=pull_request,
            progress=progress,
        )
        commit, link = done.oid, done.pull_request
    else:
        progress.note(f"{repo_id} holds this release already, at {found.parent[:12]}: no commit")
    read_back(repo_id, commit, files, connection, progress=progress)
    return Receipt(
        repo_id=repo_id,
        endpoint=connection.endpoint,
        parent=found.parent,
        commit=commit,
        n_commits=int(commit != found.parent),
        n_files=len(files),
        sent_files=len(found.sends),
        sent_bytes=found.size_bytes,
        deleted=tuple(deletes),
        stays=tuple(path for path in found.stays if path not in deletes),
        sha256={name: file.sha256 for name, file in files.items()},
        tag=None if link else tag_release(repo_id, commit, connection),
        pull_request=link,
    )


def _deletes_left(reviewed: RepositoryPlan | None, found: TreeDifference) -> tuple[str, ...]:
    """The files that are to be deleted and are still there."""
    return tuple(path for path in reviewed.deletes if path in found.stays) if reviewed else ()


def plan_push(
    repo_id: str, files: dict[str, ReleaseFile], connection: HubConnection
) -> TreeDifference | None:
    """Hold a release against the head of `main`; None where there is no such repository.

    Raises:
        HubUnavailable: the head or its tree cannot be read.
    """
    tree = remote_tree(repo_id, connection)
    return None if tree is None else compare(files, tree.files, parent=tree.oid)


def _commit(found: TreeDifference, files: dict[str, ReleaseFile], deletes: Sequence[str]) -> Commit:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    def is_done(tree: RemoteTree) -> bool:
        left = compare(files, tree.files, parent=tree.oid)
        return not left.sends and not tree.files.keys() & {*deletes}

    return Commit(
        operations=[
            *(
                CommitOperationAdd(path_in_repo=file.path_in_repo, path_or_fileobj=file.path)
                for file in found.sends
            ),
            *(CommitOperationDelete(path_in_repo=path) for path in deletes),
        ],
        message=f"Release {counted(len(files), 'file')} with sae-release {tool_version()}",
        parent=found.parent,
        is_done=is_done,
    )


def _require_same(
    reviewed: RepositoryPlan, found: TreeDifference | None, connection: HubConnection
) -> None:
    """Refuse a plan that was made from another head, or from other bytes on disk.

    A plan that was carried out already is not stale: there is nothing left to do. Nor is one for
    a repository that did not exist, once an attempt that broke off has made it and nothing more.
    """
    sends = {file.path_in_repo: file.sha256 for file in reviewed.sends}
    head = found.parent if found else None
    if reviewed.parent is None and found is not None and found.is_of_new_repository:
        head = None
    now = {file.path_in_repo: file.sha256 for file in found.sends} if found else sends
    if head == reviewed.parent:
        other = sorted(
            path for path in sends.keys() | now.keys() if sends.get(path) != now.get(path)
        )
        # What came of the code blocks, and who assembled the release, is written by the push.
        other = [path for path in other if path not in (CARD, "provenance.intoto.json")]
        reasons = [f"{path} is not the file that was planned" for path in other]
    elif found is not None and not now and not _deletes_left(reviewed, found):
        reasons = []
    else:
        was = reviewed.parent[:12] if reviewed.parent else "no repository"
        reasons = [f"the head was {was}, and is {head[:12] if head else 'no repository'}"]
    if reasons:
        raise StalePlan(
            "the plan is stale:\n" + "\n".join(f"  - {reason}" for reason in reasons),
            reasons=reasons,
            where=f"{reviewed.repo_id} on {connection.endpoint}",
            expected="the head and the files that the plan was made from",
            next_step=f"release plan {reviewed.manifest}",
        )
