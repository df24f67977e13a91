"""`release status`: every manifest against the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from release.options import (
    DEFAULT_BUILD,
    DEFAULT_MANIFESTS,
    BuildOption,
    HubOption,
    ManifestsArgument,
    ManifestsOption,
)


def status(
    paths: ManifestsArgument = None,
    hub: HubOption = None,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    build: BuildOption = DEFAULT_BUILD,
    exit_code: Annotated[
        bool,
        typer.Option(
            "--exit-code", help="End with 1 if anything is not published as its manifest says."
        ),
    ] = False,
) -> int:
    """Show how each manifest stands to what the Hub holds; without MANIFEST, all of --manifests.

    Example: release status --hub embedded
    """
    from manifests.load import load_manifest
    from manifests.shelf import manifest_files
    from release.console import show
    from release.hub_connection import connect
    from release.publishing.status import repository_status

    chosen: list[Path] = list(paths or ()) or list(manifest_files(manifests))
    is_drift = False
    with connect(hub, build=build) as connection:
        for path in chosen:
            found = repository_status(load_manifest(path), connection)
            at = f" at {found.head[:12]}" if found.head else ""
            release = f", {found.release}" if found.release else ""
            seen = {None: "", True: ", private", False: ", public"}[found.is_private]
            show(f"{found.state:12} {found.repo_id}{at}{release}{seen}")
            for finding in found.findings:
                show(f"{'':12} {finding}")
            is_drift = is_drift or found.state != "published"
    return 1 if is_drift and exit_code else 0
