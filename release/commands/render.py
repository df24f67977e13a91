"""`release render MANIFEST`: the card and the index, from the manifest and the report."""

from __future__ import annotations

from typing import Annotated

import typer

from release.options import DEFAULT_BUILD, BuildOption, ManifestArgument


def render(
    manifest: ManifestArgument,
    build: BuildOption = DEFAULT_BUILD,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 when a file is stale.")
    ] = False,
) -> int:
    """Render README.md, config.json, manifest.json and card.json from the report.

    Example: release render manifests/demo-smollm2-135m-instruct.yaml --check
    """
    from cards.stage import render as render_stage
    from cards.stage import stale_files
    from manifests.build_folder import BuildFolder
    from manifests.load import load_manifest
    from release.console import TerminalProgress, show
    from validators.presenting.tally import counted

    loaded = load_manifest(manifest)
    folder = BuildFolder(build / loaded.name)
    if not check:
        rendered = render_stage(loaded, folder, progress=TerminalProgress())
        written, unchanged = len(rendered.written), len(rendered.unchanged)
        show(f"{counted(written, 'file')} written, {unchanged} unchanged, in {folder.repository}.")
        return 0
    stale = stale_files(loaded, folder)
    for difference in stale.values():
        show(difference)
    show(
        f"{len(stale)} files are stale. Next: release render {manifest}"
        if stale
        else "Every rendered file is what rendering gives now."
    )
    return 1 if stale else 0
