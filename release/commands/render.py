"""`release render MANIFEST...`: cards and indexes, from manifests and reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from release.options import (
    DEFAULT_BUILD,
    DEFAULT_MANIFESTS,
    AllOption,
    BuildOption,
    ManifestsArgument,
    ManifestsOption,
)


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

    A manifest that has no build is left out with --all, and an error when it is named. An error in
    one keeps no other from being rendered; the exit code is the highest.

    Example: release render --all --check
    """
    from cards import watching
    from manifests.build_folder import BuildFolder
    from manifests.errors import UsageError
    from release.rendering import Mode, manifests_of, render_all

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
    mode = Mode.CHECK if check else Mode.DIFF if diff else Mode.WRITE

    def paths() -> tuple[Path, ...]:
        return manifests_of(manifests) if everything else tuple(manifest or ())

    def once() -> int:
        return render_all(paths(), build, mode=mode, skip_unbuilt=everything)

    if not watch:
        return once()
    watching.on_each_change(
        once,
        lambda: (
            file
            for path in paths()
            for file in watching.watched_files(path, BuildFolder(build / path.stem))
        ),
        watching.polls(),
    )
    return 0
