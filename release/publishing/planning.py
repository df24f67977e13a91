"""Hold a release on disk against the Hub, and say what a push would do."""

from __future__ import annotations

from manifests.build_folder import SAE_WEIGHTS, BuildFolder
from manifests.load import LoadedManifest
from release.adopted import left_unchecked
from release.gate import NotReady, require_ready
from release.hub_connection import HubConnection
from release.provenance.model_signature import signed_paths
from release.provenance.statement import PROVENANCE
from release.publishing.card_release import CardRelease, card_release, require_card_ready
from release.publishing.former_release import former_files
from release.publishing.plan import PlannedFile, RepositoryPlan
from release.publishing.release_files import ADDED_BY_PUSH, ReleaseFile, release_files
from release.publishing.remote_tree import RemoteTree, remote_tree
from release.publishing.setting_change import SettingChange
from release.publishing.settings import seen_settings, setting_changes, wanted_settings
from release.publishing.tree_difference import MADE_BY_THE_HUB, RemoteFile, compare
from validators.report import former_report


def plan_release(
    loaded: LoadedManifest,
    build: BuildFolder,
    connection: HubConnection,
    *,
    cards_only: bool = False,
    delete: bool = False,
    manifest_name: str | None = None,
) -> RepositoryPlan:
    """Plan the push of one manifest's build.

    Args:
        loaded: the manifest.
        build: its build folder.
        connection: the Hub.
        cards_only: look only at the card, its index and figures; weights stay as they are.
        delete: delete what the former release put there and this one lacks.
        manifest_name: how the plan calls the manifest; by default its path.

    Raises:
        IncompleteRelease: files are missing, or foreign ones lie among them.
        HubUnavailable: the Hub does not answer.
    """
    repo_id = loaded.manifest.repo_id
    tree = remote_tree(repo_id, connection)
    cards = card_release(loaded, build, tree, connection) if cards_only else None
    files = cards.files if cards else release_files(loaded, build)
    remote = tree.files if tree else {}
    former = former_files(repo_id, tree, connection) if tree else frozenset()
    found = compare(files, remote, parent=tree.oid if tree else "")
    # Without a change of what it signs, the signature stays good.
    kept = {PROVENANCE} if signed_paths(f.path_in_repo for f in found.sends) else {*ADDED_BY_PUSH}
    gone = sorted(former - files.keys() - kept)
    if cards is not None:
        gone = [path for path in gone if cards.is_of_card(path)]
    refusals = _refusals(loaded, build, files, tree, cards)
    settings: tuple[SettingChange, ...] = ()
    try:
        settings = setting_changes(wanted_settings(loaded), seen_settings(tree), connection)
    except NotReady as error:
        refusals += tuple(error.reasons)
    return RepositoryPlan(
        manifest=manifest_name or loaded.path.as_posix(),
        manifest_digest=loaded.digest,
        repo_id=repo_id,
        parent=tree.oid if tree else None,
        is_private=tree.is_private if tree else None,
        cards_only=cards_only,
        adds=tuple(_planned(file) for file in found.adds),
        changes=tuple(_planned(file, remote[file.path_in_repo]) for file in found.changes),
        deletes=tuple(gone if delete else ()),
        leftovers=tuple(() if delete else gone),
        unknown=tuple(sorted(remote.keys() - files.keys() - former - {*MADE_BY_THE_HUB})),
        unchanged=_unchanged(found.unchanged, remote, former, cards),
        refusals=refusals,
        unchecked=_unchecked(loaded, build),
        settings=settings,
    )


def _planned(file: ReleaseFile, former: RemoteFile | None = None) -> PlannedFile:
    return PlannedFile(
        path_in_repo=file.path_in_repo,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        former_size_bytes=former.size_bytes if former else None,
    )


def _unchanged(
    same: tuple[str, ...],
    remote: dict[str, RemoteFile],
    former: frozenset[str],
    cards: CardRelease | None,
) -> tuple[str, ...]:
    """The files that stay as they are and belong to the release."""
    if cards is None:
        return same
    beside = {path for path in former & remote.keys() if not cards.is_of_card(path)}
    return tuple(sorted({*same} | beside))


def _refusals(
    loaded: LoadedManifest,
    build: BuildFolder,
    files: dict[str, ReleaseFile],
    tree: RemoteTree | None,
    cards: CardRelease | None,
) -> tuple[str, ...]:
    if cards is not None and tree is None:
        return ("there is no repository yet whose card could be renewed",)
    try:
        if cards is not None:
            require_card_ready(loaded, build, cards)
        else:
            require_ready(loaded, build, {path: file.sha256 for path, file in files.items()})
    except NotReady as error:
        return tuple(error.reasons)
    return ()


def _unchecked(loaded: LoadedManifest, build: BuildFolder) -> tuple[str, ...]:
    report = former_report(build.report_json)
    checks = report.checks if report else None
    return left_unchecked(loaded, build, checks.tiers if checks else ())


def touches_weights(plan: RepositoryPlan) -> tuple[str, ...]:
    """The weight files that a plan sends or deletes."""
    paths = [*(file.path_in_repo for file in plan.sends), *plan.deletes]
    return tuple(path for path in paths if path.rpartition("/")[2] == SAE_WEIGHTS)
