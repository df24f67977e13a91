"""`release render MANIFEST...`: cards and indexes, from manifests and reports."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from release.options import (
    DEFAULT_BUILD,
    DEFAULT_MANIFESTS,
    AllOption,
    BuildOption,
    HubOption,
    ManifestsArgument,
    ManifestsOption,
)
from release.paused_collector import paused_collector

if TYPE_CHECKING:
    from release.hub_connection import HubConnection


class Against(StrEnum):
    """What --check and --diff compare with."""

    build = "build"
    hub = "hub"


def render(
    manifest: ManifestsArgument = None,
    everything: AllOption = False,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    build: BuildOption = DEFAULT_BUILD,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 and a diff when a file is stale.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Write nothing; show what would change, and exit 0.")
    ] = False,
    against: Annotated[
        Against,
        typer.Option(
            "--against",
            help="What --check and --diff compare with: the files under --build, or what the "
            "repository's head on the Hub has.",
        ),
    ] = Against.build,
    hub: HubOption = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Render again whenever a manifest, report, template or partial changes, until "
            "Ctrl-C.",
        ),
    ] = False,
) -> int:
    """Render README.md, config.json, manifest.json, card.json and figures from the report.

    Without a report a card is described by its manifest, and says that nothing was measured. A
    collection gets its README.md, config.json and card.json. An error in one keeps no other from
    being rendered; the exit code is the highest.

    Example: release render --all --check
    """
    from manifests.errors import UsageError

    if bool(manifest) == everything:
        raise UsageError(
            "no manifest was named" if not manifest else "--all and manifests were both given",
            expected="one or more manifests, or --all",
            next_step="release render --all",
        )
    if check + diff + watch > 1:
        raise UsageError(
            "at most one of --check, --diff and --watch can be given",
            expected="to compare, to show, or to write at each change",
        )
    if against is Against.hub and not (check or diff):
        raise UsageError(
            "--against hub compares, and nothing was asked to be compared",
            expected="--check or --diff beside it",
            next_step="`release push` publishes a card",
        )
    if hub is not None and against is not Against.hub:
        raise UsageError(
            "--hub was given, and no Hub is asked",
            expected="--against hub beside it",
        )

    def paths() -> tuple[Path, ...]:
        from manifests.shelf import described_files

        return described_files(manifests) if everything else tuple(manifest or ())

    def once(connection: HubConnection | None = None) -> int:
        with paused_collector():
            # Importing what renders takes as long as rendering a few cards.
            from release.rendering import Mode, render_all

            mode = Mode.CHECK if check else Mode.DIFF if diff else Mode.WRITE
            return render_all(paths(), build, mode=mode, hub=connection)

    if against is Against.hub:
        from release.hub_connection import connect

        with connect(hub, build=build) as connection:
            return once(connection)
    if not watch:
        return once()
    from cards import watching

    watching.on_each_change(
        once,
        lambda: (file for path in paths() for file in watching.watched_files(path, build)),
        watching.polls(),
    )
    return 0
