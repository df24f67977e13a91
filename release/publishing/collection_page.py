"""The page of a study: a repository without weights, and the Hub collection of its members.

Its files are what `release render` writes of a collection's file. Where that file, or its study
file, names a Hub collection under `hub`, title, description and items of that follow too.
"""

from __future__ import annotations

from pathlib import Path

from manifests.build_folder import BuildFolder
from manifests.collection import LoadedCollection, load_collection
from manifests.hub_settings import HubSettings, is_slug
from manifests.progress import Progress
from release.gate import NotReady
from release.hub_connection import HubConnection
from release.publishing.collection_membership import (
    WantedCollection,
    WantedItem,
    note_of,
    shortened,
)
from release.publishing.page_blocks import require_page_code
from release.publishing.plan import PlannedFile, RepositoryPlan
from release.publishing.push import PushOptions, Receipt, publish_with_settings
from release.publishing.release_files import IncompleteRelease, ReleaseFile, describe_file
from release.publishing.remote_tree import remote_tree
from release.publishing.setting_change import SettingChange
from release.publishing.settings import (
    SettingsStep,
    WantedSettings,
    seen_settings,
    setting_changes,
)
from release.publishing.tree_difference import MADE_BY_THE_HUB, compare
from release.rendered_collection import stale_collection
from validators.presenting.tally import counted

_FILES = ("README.md", "card.json", "config.json")


def wanted_page_settings(loaded: LoadedCollection) -> WantedSettings:
    """What a collection's file says of its repository, and of the Hub collection of its members.

    The title of the Hub collection follows where it is named by its slug; a title names it.
    """
    stated = loaded.collection
    hub = stated.hub or HubSettings.model_validate({})
    collection = None
    if hub.collection is not None:
        own = WantedItem(stated.repo_id, _page_note(loaded))
        members = (
            WantedItem(each.repo_id, note_of(each.n_saes, each.base_model_id))
            for each in loaded.members
        )
        collection = WantedCollection(
            named=hub.collection,
            owner=stated.repo_id.partition("/")[0],
            repo_id=stated.repo_id,
            items=(own, *members),
            title=stated.title if is_slug(hub.collection) else None,
            description=shortened(stated.summary) if stated.summary else None,
        )
    return WantedSettings(stated.repo_id, loaded.path, hub, collection)


def _page_note(loaded: LoadedCollection) -> str:
    """How many SAEs there are; without the number where a member's is not known."""
    repositories = f"{len(loaded.members)} repositories"
    if loaded.uncounted:
        return f"SAEs in {repositories}"
    return f"{counted(loaded.n_known, 'SAE')} in {repositories}"


def plan_page(
    path: Path,
    builds: Path,
    connection: HubConnection,
    *,
    cards_only: bool = False,
) -> RepositoryPlan:
    """Plan the push of a collection's page. Files that are none of the page always stay.

    Args:
        path: the collection's YAML file.
        builds: the folder of builds.
        connection: the Hub.
        cards_only: refuse to make the repository; a page is nothing but a card.

    Raises:
        IncompleteRelease: it was not rendered.
        ReleaseError: the collection cannot be read; see `load_collection`.
        HubUnavailable: the Hub does not answer.
    """
    loaded = load_collection(path)
    repo_id = loaded.collection.repo_id
    files = _page_files(path, builds)
    tree = remote_tree(repo_id, connection)
    remote = tree.files if tree else {}
    found = compare(files, remote, parent=tree.oid if tree else "")
    refusals = _refusals(path, builds, is_missing=cards_only and tree is None)
    settings: tuple[SettingChange, ...] = ()
    try:
        settings = setting_changes(wanted_page_settings(loaded), seen_settings(tree), connection)
    except NotReady as error:
        refusals += tuple(error.reasons)
    return RepositoryPlan(
        manifest=path.as_posix(),
        manifest_digest=loaded.digest,
        repo_id=repo_id,
        parent=tree.oid if tree else None,
        is_private=tree.is_private if tree else None,
        cards_only=cards_only,
        adds=tuple(_planned(file) for file in found.adds),
        changes=tuple(
            _planned(file, remote[file.path_in_repo].size_bytes) for file in found.changes
        ),
        deletes=(),
        leftovers=(),
        unknown=tuple(sorted(remote.keys() - files.keys() - {*MADE_BY_THE_HUB})),
        unchanged=found.unchanged,
        refusals=refusals,
        settings=settings,
    )


def push_page(
    path: Path,
    builds: Path,
    connection: HubConnection,
    *,
    options: PushOptions,
    reviewed: RepositoryPlan | None = None,
    progress: Progress,
) -> Receipt:
    """Push a collection's page in one commit, and bring the Hub collection up to date after it.

    Raises:
        IncompleteRelease: it was not rendered.
        NotReady: it is not what rendering gives now, or its code does not run; nothing was sent.
        StalePlan, HeadMoved, HubUnavailable, ReadBackMismatch, SettingsNotApplied: as `push`.
    """
    loaded = load_collection(path)
    files = _page_files(path, builds)
    is_missing = options.cards_only and remote_tree(loaded.collection.repo_id, connection) is None
    refusals = _refusals(path, builds, is_missing=is_missing)
    if refusals:
        raise NotReady(
            "the page may not be pushed:\n" + "\n".join(f"  - {reason}" for reason in refusals),
            reasons=refusals,
            where=loaded.collection.repo_id,
            expected="what rendering gives of the collection and its members",
            next_step=(
                f"release push {path.as_posix()}"
                if is_missing
                else f"release render {path.as_posix()}"
            ),
        )
    require_page_code(loaded, files, builds, connection, progress=progress)
    settings = SettingsStep(
        wanted_page_settings(loaded),
        connection,
        public=options.public,
        reviewed=reviewed.settings if reviewed else None,
        cards_only=options.cards_only,
    )
    return publish_with_settings(
        files,
        BuildFolder(builds / loaded.name),
        settings,
        options=options,
        reviewed=reviewed,
        progress=progress,
    )


def _page_files(path: Path, builds: Path) -> dict[str, ReleaseFile]:
    repository = BuildFolder(builds / path.stem).repository
    missing = [name for name in _FILES if not (repository / name).is_file()]
    if missing:
        raise IncompleteRelease(
            f"{counted(len(missing), 'file')} of the page missing: {', '.join(missing)}",
            where=str(repository),
            expected="what `release render` writes of a collection",
            next_step=f"release render {path.as_posix()}",
        )
    return {name: describe_file(name, repository / name) for name in _FILES}


def _refusals(path: Path, builds: Path, *, is_missing: bool) -> tuple[str, ...]:
    stale = sorted(stale_collection(path, builds))
    return (
        *(f"{name} is not what rendering gives now" for name in stale),
        *(("there is no repository yet whose card could be renewed",) if is_missing else ()),
    )


def _planned(file: ReleaseFile, former_size_bytes: int | None = None) -> PlannedFile:
    return PlannedFile(file.path_in_repo, file.size_bytes, file.sha256, former_size_bytes)
