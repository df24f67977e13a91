"""`release affected`: which manifests a change concerns, for a matrix of CI jobs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from release.options import (
    DEFAULT_BUILD,
    DEFAULT_MANIFESTS,
    BuildOption,
    HubOption,
    ManifestsOption,
)


class ListFormat(StrEnum):
    """How the list is printed."""

    text = "text"
    json = "json"


def affected(
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="REVISION", help="The git revision before. Default: all manifests."
        ),
    ] = None,
    own: Annotated[
        bool, typer.Option("--own", help="Leave out those that only shared code concerns.")
    ] = False,
    on_hub: Annotated[
        bool,
        typer.Option("--on-hub", help="Leave out those of which the Hub has nothing to fetch."),
    ] = False,
    output_format: Annotated[
        ListFormat, typer.Option("--format", help="json: one line, for a matrix.")
    ] = ListFormat.text,
    hub: HubOption = None,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    build: BuildOption = DEFAULT_BUILD,
) -> None:
    """List the manifests that changed since a git revision, each with how far to check it.

    New or changed weights: activations; another wording: load; code or templates alone: static.

    Example: release affected --since origin/main --format json
    """
    import json
    from dataclasses import asdict

    from manifests.load import load_manifest
    from release.affected import affected_manifests
    from release.console import say, show, write_data
    from release.fetching import is_on_hub
    from release.hub_connection import connect

    rows = [row for row in affected_manifests(manifests, since) if row.required or not own]
    if on_hub and rows:
        with connect(hub, build=build) as connection:
            there = [
                is_on_hub(load_manifest(Path(row.manifest)), connection, published=False)
                for row in rows
            ]
        for row, is_there in zip(rows, there, strict=True):
            if not is_there:
                say(f"{row.name}: {row.why}, and the Hub has nothing of it to check")
        rows = [row for row, is_there in zip(rows, there, strict=True) if is_there]
    if output_format is ListFormat.json:
        write_data(json.dumps([asdict(row) for row in rows], ensure_ascii=True) + "\n")
        return
    for row in rows:
        show(f"{row.tier:12} {row.manifest}: {row.why}")
    if not rows:
        show("No manifest is concerned.")
