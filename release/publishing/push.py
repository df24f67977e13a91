"""Publish a release: everything checked first, uploaded next, then one commit, then read back.

Invariants, whatever happens in between (an error, a lost answer, a kill):

- `main` shows the former release or this one, never a part: there is exactly one commit, and it
  names the head it was planned against as its parent.
- An exception of the client decides nothing. After one, the head is read, and its tree tells
  whether the commit happened.
- Running the command again after any end finishes the work: files that arrived are not sent again,
  and a release that is already there makes no commit.
- What cannot be used from the Hub gets no tag, and the error names the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from cards.stage import README
from manifests.build_folder import BuildFolder
from manifests.load import LoadedManifest
from manifests.progress import Progress
from manifests.tool_version import tool_version
from release.hub_connection import HubConnection, hub_errors_explained
from release.provenance.signing import PrivateKey, WorkflowIdentity
from release.publishing.agreed_change import (
    StalePlan,
    deletes_left,
    require_same,
    require_signature,
)
from release.publishing.hub_use import HubUse, use_from_hub
from release.publishing.one_commit import Commit, one_commit
from release.publishing.plan import RepositoryPlan
from release.publishing.read_back import read_back
from release.publishing.ready_release import ready_release
from release.publishing.receipts import keep_receipt
from release.publishing.release_files import ReleaseFile
from release.publishing.remote_tree import RemoteTree, remote_tree
from release.publishing.setting_change import SettingChange
from release.publishing.settings import SettingsStep, wanted_settings
from release.publishing.tree_difference import TreeDifference, compare
from release.publishing.use_outcome import kept_use, require_usable, way_back
from release.publishing.version_tags import tag_of, tag_release
from validators.presenting.tally import counted
from validators.reading.repository import HubUnavailable


@dataclass(frozen=True)
class Receipt:
    """What a push left on the Hub, after it was read back.

    `settings` were changed to what the manifest says; `settings_left` would need `--public`. `use`
    is what came of loading it from there; without a `tag` nothing came of it, or it is not on
    `main`.
    """

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
    settings: tuple[SettingChange, ...] = ()
    settings_left: tuple[SettingChange, ...] = ()
    use: HubUse | None = None


class UseFromHub(Protocol):
    """Uses a release as its readers will."""

    def __call__(self, commit: str, *, is_new: bool) -> HubUse:
        """At a commit, by oid, that this push made or found there."""
        ...


@dataclass(frozen=True)
class PushOptions:
    """How to push.

    Attributes:
        public: a repository that does not exist yet is created public, unless its manifest says
            private; one that exists becomes so only where its manifest says public.
        cards_only: send the card, its index and figures alone.
        pull_request: open a pull request in place of a commit on `main`; no setting is changed.
        base_model: what the card's code is to run on, as `block_base_model` takes it.
        signer: who signs weights and configurations, as `chosen_signer` has it; without one, a
            signature that lies in the build is published.
    """

    public: bool = False
    cards_only: bool = False
    pull_request: bool = False
    base_model: str | None = None
    signer: PrivateKey | WorkflowIdentity | None = None


def push(
    loaded: LoadedManifest,
    build: BuildFolder,
    connection: HubConnection,
    *,
    options: PushOptions,
    reviewed: RepositoryPlan | None = None,
    progress: Progress,
) -> Receipt:
    """Push a release in one commit, read it back, and use it from the Hub as a reader does.

    The code blocks of the card are run first, unless this very code was run before on these files.

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
        UnusableRelease: it is what was sent, and SAELens or the card's code fails on it there.
        SettingsNotApplied: all is published, and a setting is not what the manifest says.
    """
    ready = ready_release(
        loaded,
        build,
        connection,
        cards_only=options.cards_only,
        base_model=options.base_model,
        signer=options.signer,
        progress=progress,
    )
    settings = SettingsStep(
        wanted_settings(loaded),
        connection,
        public=options.public,
        reviewed=reviewed.settings if reviewed else None,
        cards_only=options.cards_only,
    )

    def use(commit: str, *, is_new: bool) -> HubUse:
        readme = build.repository / README
        kept = kept_use(build, commit)
        if kept is not None:
            progress.note("it was loaded from the Hub before, at this very commit")
            return kept
        if (
            options.cards_only
            and not is_new
            and tag_of(loaded.manifest.repo_id, commit, connection)
        ):
            return HubUse("not tried", commit, reasons=("no file was sent",))
        return use_from_hub(
            loaded, readme, ready.blocks, ready.saes, commit, connection, progress=progress
        )

    return publish_with_settings(
        ready.files, build, settings, use=use, options=options, reviewed=reviewed, progress=progress
    )


def publish_with_settings(
    files: dict[str, ReleaseFile],
    build: BuildFolder,
    settings: SettingsStep,
    *,
    use: UseFromHub | None = None,
    options: PushOptions,
    reviewed: RepositoryPlan | None,
    progress: Progress,
) -> Receipt:
    """Publish files that may go out, and bring the repository's settings to what is wanted.

    The receipt is kept before the settings are changed, and again afterwards. What cannot be used
    from the Hub is not opened to anyone.

    Raises:
        NotReady, StalePlan, HeadMoved, HubUnavailable, ReadBackMismatch, UnusableRelease,
        SettingsNotApplied: as `push`.
    """
    closed: list[SettingChange] = []
    if options.pull_request:
        settings.require_closed()
    else:
        settings.require_possible()
    receipt = publish_files(
        settings.wanted.repo_id,
        files,
        settings.connection,
        public=settings.starts_public,
        pull_request=options.pull_request,
        reviewed=reviewed,
        before_commit=None if options.pull_request else lambda: closed.extend(settings.restrict()),
        use=use,
        progress=progress,
    )
    receipt = replace(receipt, settings=tuple(closed))
    keep_receipt(receipt, build)
    require_usable(
        receipt.use,
        receipt.repo_id,
        parent=receipt.parent,
        pull_request=receipt.pull_request,
        connection=settings.connection,
    )
    if not options.pull_request:
        done = settings.finish()
        receipt = replace(receipt, settings=(*closed, *done.changed), settings_left=done.left)
        keep_receipt(receipt, build)
    return receipt


def publish_files(
    repo_id: str,
    files: dict[str, ReleaseFile],
    connection: HubConnection,
    *,
    public: bool,
    pull_request: bool = False,
    reviewed: RepositoryPlan | None = None,
    before_commit: Callable[[], None] | None = None,
    use: UseFromHub | None = None,
    progress: Progress,
) -> Receipt:
    """Bring the head of `repo_id` to hold these bytes under these names, by one commit.

    `before_commit` is called once the repository is there, before anything of it is sent; `use`
    with the commit, once it was read back. What it says has failed gets no tag.

    Raises:
        NotReady: a signature of other bytes would stay.
        StalePlan, HeadMoved, HubUnavailable, ReadBackMismatch: as `push`.
    """
    found = plan_push(repo_id, files, connection)
    if reviewed is not None:
        require_same(reviewed, files, found, connection)
    if found is None:
        with hub_errors_explained(f"creating {repo_id}", connection):
            connection.api().create_repo(repo_id, private=not public, exist_ok=True)
        found = plan_push(repo_id, files, connection)
        if found is not None and found.sends and not found.is_of_new_repository:
            raise StalePlan(
                "somebody else made the repository since it was planned",
                where=f"{repo_id} on {connection.endpoint}",
                expected="a repository that is not there yet",
                next_step="look at what it holds, then run the same command again",
            )
    if found is None:
        raise HubUnavailable(
            "was made, but the Hub does not show it",
            where=f"{repo_id} on {connection.endpoint}",
            expected="a repository that this token may read",
            next_step="use a token that may read and write it",
        )
    deletes = deletes_left(reviewed, found)
    require_signature(repo_id, found, deletes, connection)
    if before_commit is not None:
        before_commit()
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
    is_new = commit != found.parent
    read_back(
        repo_id,
        commit,
        files,
        connection,
        way_back=(lambda: way_back(repo_id, commit, found.parent, connection))
        if is_new and link is None
        else None,
        progress=progress,
    )
    used = use(commit, is_new=is_new) if use is not None else None
    is_tagged = link is None and (used is None or used.outcome != "failed")
    return Receipt(
        repo_id=repo_id,
        endpoint=connection.endpoint,
        parent=found.parent,
        commit=commit,
        n_commits=int(is_new),
        n_files=len(files),
        sent_files=len(found.sends),
        sent_bytes=found.size_bytes,
        deleted=tuple(deletes),
        stays=tuple(path for path in found.stays if path not in deletes),
        sha256={name: file.sha256 for name, file in files.items()},
        tag=tag_release(repo_id, commit, connection) if is_tagged else None,
        pull_request=link,
        use=used,
    )


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
