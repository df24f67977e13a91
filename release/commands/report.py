"""`release report TARGET... | --all --out DIR`: pages that show releases to people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from release import completion
from release.options import (
    DEFAULT_BUILD,
    DEFAULT_MANIFESTS,
    AllOption,
    BuildOption,
    HubOption,
    ManifestsOption,
)


def report(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder of the pages.")],
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET...",
            help="A manifest, owner/name[@revision], a folder, or a saved report (.json).",
            autocompletion=completion.targets,
        ),
    ] = None,
    every: AllOption = False,
    title: Annotated[
        str, typer.Option(metavar="TEXT", help="What the overview is headed with.")
    ] = "SAE releases",
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Ask no Hub; the pages say that it was not asked."),
    ] = False,
    hub: HubOption = None,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    build: BuildOption = DEFAULT_BUILD,
) -> int:
    """Write static pages of one or more repositories: what is sound, what is not, and why.

    Example: release report --all --out site --offline
    """
    from release.console import TerminalProgress
    from release.report_page.stage import PageOptions, write_pages

    return write_pages(
        tuple(targets or ()),
        PageOptions(
            out=out,
            every=every,
            title=title,
            offline=offline,
            hub=hub,
            manifests=manifests,
            build_root=build,
        ),
        progress=TerminalProgress(),
    )
