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

    Visibility, gating and collection are compared where the manifest states them, the license
    always.

    Example: release status --hub embedded
    """
    from manifests.collection import is_collection
    from manifests.load import load_manifest
    from manifests.shelf import collection_files, manifest_files
    from release.console import show
    from release.hub_connection import connect
    from release.publishing.status import page_status, repository_status

    every = [*manifest_files(manifests), *collection_files(manifests)] if not paths else []
    chosen: list[Path] = list(paths or every)
    is_drift = False
    with connect(hub, build=build) as connection:
        for path in chosen:
            if is_collection(path):
                found = page_status(path, connection)
            else:
                found = repository_status(load_manifest(path), connection)
            at = f" at {found.head[:12]}" if found.head else ""
            release = f", newest tag {found.release}" if found.release else ""
            seen = {None: "", True: ", private", False: ", public"}[found.is_private]
            show(f"{found.state:12} {found.repo_id}{at}{release}{seen}")
            for finding in found.findings:
                show(f"{'':12} {finding}")
            is_drift = is_drift or found.state != "published"
    return 1 if is_drift and exit_code else 0
