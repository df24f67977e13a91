"""The plans of several manifests; one that cannot be planned stops them all, before anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from manifests.build_folder import BuildFolder
from manifests.collection import is_collection
from manifests.errors import UsageError
from manifests.load import load_manifest
from manifests.shelf import collection_files, manifest_files
from release.hub_connection import HubConnection
from release.publishing.collection_page import plan_page
from release.publishing.plan import Plan, RepositoryPlan
from release.publishing.planning import plan_release


def planned(
    paths: Sequence[Path] | None,
    connection: HubConnection,
    *,
    every: bool,
    manifests: Path,
    builds: Path,
    delete: bool,
) -> Plan:
    """The plans of the manifests that a command names, or of every one that is built.

    Args:
        paths: manifests and collections; None or empty with `every`.
        connection: the Hub.
        every: take every one of `manifests` whose build has a card.
        manifests: the folder of manifests.
        builds: the folder of builds.
        delete: as `plan_release`.

    Raises:
        UsageError: neither manifests nor `every` are given, or both; or nothing is built.
        IncompleteRelease, HubUnavailable: as `plan_release`.
    """
    chosen = manifests_to_push(paths, every=every, manifests=manifests, builds=builds)
    return Plan(
        endpoint=connection.endpoint,
        repositories=tuple(
            plan_one(path, builds, connection, cards_only=False, delete=delete) for path in chosen
        ),
    )


def plan_one(
    path: Path, builds: Path, connection: HubConnection, *, cards_only: bool, delete: bool
) -> RepositoryPlan:
    """The plan of a manifest's build, or of a collection's page.

    Raises:
        ReleaseError: as `plan_release` and `plan_page`.
    """
    if is_collection(path):
        return plan_page(path, builds, connection, cards_only=cards_only)
    return plan_release(
        load_manifest(path),
        BuildFolder(builds / path.stem),
        connection,
        cards_only=cards_only,
        delete=delete,
        manifest_name=path.as_posix(),
    )


def manifests_to_push(
    paths: Sequence[Path] | None, *, every: bool, manifests: Path, builds: Path
) -> tuple[Path, ...]:
    """The manifests that a command is about; with `every`, collections come after their members.

    Raises:
        UsageError: neither manifests nor `every` are given, or both; or nothing is built.
    """
    require_some(paths, every=every)
    if paths:
        return tuple(paths)
    built = tuple(
        path
        for path in (*manifest_files(manifests), *collection_files(manifests))
        if BuildFolder(builds / path.stem).card_json.is_file()
    )
    if not built:
        raise UsageError(
            f"no manifest of {manifests} has a card in {builds}",
            expected="at least one that was rendered",
            next_step="release run MANIFEST",
        )
    return built


def require_some(paths: Sequence[Path] | None, *, every: bool) -> None:
    """Make sure that a command is about something, and about one thing.

    Raises:
        UsageError: neither manifests nor `every` are given, or both.
    """
    if bool(paths) == every:
        raise UsageError(
            "manifests and --all are both given" if every else "no manifest is given",
            expected="one or more manifests, or --all for every one of --manifests",
        )
