"""Cards renewed for a push: what they are made of is fetched where it lacks, and they are rendered.

What cannot be renewed is left out and told, and keeps no other card from being pushed. A manifest
that was never published has nothing to renew; that is no failure where every manifest was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cards.stage import render
from manifests.build_folder import BuildFolder
from manifests.collection import is_collection, load_collection
from manifests.errors import ReleaseError
from manifests.load import LoadedManifest, load_manifest
from manifests.progress import Progress, Silent
from manifests.shelf import collection_files, manifest_files
from release.fetching import fetch_release, is_on_hub, is_unmade
from release.gate import NotReady
from release.hub_connection import HubConnection
from release.publishing.batch import plan_one, require_some
from release.publishing.plan import Plan, RepositoryPlan
from release.rendered_collection import render_collection
from validators.presenting.tally import counted


class NotPublished(NotReady):
    """The Hub has no release of a manifest, or shows this token none."""


@dataclass(frozen=True)
class LeftOut:
    """A card that is not pushed, by the name of its manifest; `error` says why.

    `is_failure`: the command ends with the error's exit code.
    """

    name: str
    error: ReleaseError
    is_failure: bool

    def __str__(self) -> str:
        """Why the card is not among those that would be pushed."""
        return f"{self.name} is left out: {self.error}"


@dataclass(frozen=True)
class Renewal:
    """The plans of the cards that were renewed, and those that could not be."""

    plan: Plan
    left_out: tuple[LeftOut, ...]

    @property
    def exit_code(self) -> int:
        """The highest of those that failed; 0 where none did."""
        return max((each.error.exit_code for each in self.left_out if each.is_failure), default=0)


def renewed(
    paths: Sequence[Path] | None,
    connection: HubConnection,
    *,
    every: bool,
    manifests: Path,
    builds: Path,
    delete: bool,
    progress: Progress,
    tell: Callable[[str], None],
) -> Renewal:
    """Fetch, render and plan the cards of manifests and collections.

    Args:
        paths: manifests and collections; None or empty with `every`.
        connection: the Hub.
        every: take every manifest and every collection of `manifests`.
        manifests: the folder of manifests.
        builds: the folder of builds.
        delete: as `plan_release`.
        progress: told how far a download is.
        tell: takes one line for each card that was fetched, rendered anew or left out.

    Raises:
        UsageError: neither manifests nor `every` are given, or both; or the folder has none.
        ReleaseError: there is one manifest, and it cannot be renewed.
    """
    require_some(paths, every=every)
    chosen = paths or (*manifest_files(manifests), *collection_files(manifests))
    left_out: dict[Path, LeftOut] = {}
    refused: dict[Path, LeftOut] = {}
    plans: list[RepositoryPlan] = []
    for path in chosen:
        try:
            if is_collection(path):
                _renew_page(
                    path, builds, connection, left_out | refused, progress=progress, tell=tell
                )
            else:
                _renew(load_manifest(path), builds, connection, progress=progress, tell=tell)
            plan = plan_one(path, builds, connection, cards_only=True, delete=delete)
            # Where one is named, its plan says that it would be refused.
            if every and plan.parent is None:
                raise _not_published(plan.repo_id, path, connection)
            plans.append(plan)
            if plan.refusals:
                refused[path] = LeftOut(path.stem, NotReady(plan.refusals[0]), is_failure=True)
        except ReleaseError as error:
            if len(chosen) == 1:
                raise
            is_failure = not (every and isinstance(error, NotPublished))
            left_out[path] = LeftOut(path.stem, error, is_failure)
    for each in left_out.values():
        tell(str(each))
    return Renewal(Plan(connection.endpoint, tuple(plans)), tuple(left_out.values()))


def _renew(
    loaded: LoadedManifest,
    builds: Path,
    connection: HubConnection,
    *,
    progress: Progress,
    tell: Callable[[str], None],
) -> None:
    """Bring a card to what rendering gives, from what is published where nothing was made here."""
    build = BuildFolder(builds / loaded.name)
    _fetch(loaded, build, connection, progress=progress, tell=tell)
    found = render(loaded, build, progress=Silent())
    n_changed = len(found.written) + len(found.deleted)
    if n_changed:
        tell(f"{loaded.name}: {counted(n_changed, 'file')} rendered")


def _fetch(
    loaded: LoadedManifest,
    build: BuildFolder,
    connection: HubConnection,
    *,
    progress: Progress,
    tell: Callable[[str], None],
) -> None:
    """Bring what a card is made of into a build that lacks it.

    Raises:
        NotPublished: there is nothing on the Hub.
        NotReady: the published numbers are of other facts than the manifest states, or the build
            holds SAEs that nothing is known of.
    """
    if build.report_json.is_file():
        return
    if not is_unmade(build):
        raise NotReady(
            "the build has SAEs and no report of them",
            where=str(build.repository),
            expected="a build that was validated, or none: what is published is fetched then",
            next_step=f"release validate {loaded.path}, or name another folder with --build",
        )
    if not is_on_hub(loaded, connection, published=True):
        raise _not_published(loaded.manifest.repo_id, loaded.path, connection)
    fetched = fetch_release(
        loaded,
        build,
        connection,
        published=True,
        cards_only=True,
        is_large_wanted=False,
        progress=progress,
    )
    if not build.report_json.is_file():
        raise NotReady(
            "no report is published that is of this manifest, so its card has no numbers",
            where=f"{fetched.source} at {fetched.oid[:12]}",
            expected="a report of the facts that the manifest states",
            next_step=f"release run {loaded.path}",
        )
    tell(f"{loaded.name}: {counted(fetched.n_files, 'file')} fetched from {fetched.source}")


def _not_published(repo_id: str, path: Path, connection: HubConnection) -> NotPublished:
    return NotPublished(
        "there is no repository yet whose card could be renewed, or this token may not see it",
        where=f"{repo_id} on {connection.endpoint}",
        expected="a release that was pushed before, whose card can be renewed",
        next_step=f"release push {path.as_posix()}",
    )


def _renew_page(
    path: Path,
    builds: Path,
    connection: HubConnection,
    left_out: dict[Path, LeftOut],
    *,
    progress: Progress,
    tell: Callable[[str], None],
) -> None:
    """Render the page of a collection, whose numbers are those of its members' builds.

    Raises:
        NotReady: a member could not be renewed, and the page would lose its numbers.
    """
    failed = {each.resolve(): found for each, found in left_out.items() if found.is_failure}
    for member in load_collection(path).members:
        if member.loaded is None:
            continue
        known = failed.get(member.loaded.path.resolve())
        if known is not None:
            raise NotReady(
                f"its page would lose the numbers of {member.repo_id}, which is left out too",
                where=path.as_posix(),
                expected="every member that is published to be renewed",
                next_step=f"mend {known.name} first",
            )
        try:
            build = BuildFolder(builds / member.loaded.name)
            _fetch(member.loaded, build, connection, progress=progress, tell=tell)
        except NotPublished:
            tell(
                f"{path.stem}: {member.repo_id} is not published, so its page has no numbers of it"
            )
    found = render_collection(path, builds)
    if found.written:
        tell(f"{path.stem}: {counted(len(found.written), 'file')} rendered")
