"""`release plan MANIFEST...`: what a push would change on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from release.options import (
    DEFAULT_BUILD,
    DEFAULT_MANIFESTS,
    AllOption,
    BuildOption,
    CardsOnlyOption,
    DeleteOption,
    HubOption,
    ManifestsArgument,
    ManifestsOption,
)

EXIT_CHANGES = 5


def plan(
    paths: ManifestsArgument = None,
    every: AllOption = False,
    hub: HubOption = None,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    build: BuildOption = DEFAULT_BUILD,
    cards_only: CardsOnlyOption = False,
    delete: DeleteOption = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Keep the plan for `release push FILE`."),
    ] = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option("--detailed-exitcode", help="End with 5 if anything would change."),
    ] = False,
) -> int:
    """Hold what lies in the build folder against the Hub's head; nothing is changed.

    Example: release plan manifests/demo-smollm2-135m-instruct.yaml --hub embedded --out plan.json
    """
    from release.console import show
    from release.hub_connection import connect
    from release.publishing.batch import planned
    from release.publishing.plan import write_plan
    from release.publishing.plan_text import plan_text

    with connect(hub, build=build) as connection:
        found = planned(
            paths,
            connection,
            every=every,
            manifests=manifests,
            builds=build,
            cards_only=cards_only,
            delete=delete,
        )
    show(plan_text(found))
    if out is not None:
        write_plan(found, out)
        show(f"Kept in {out}. Next: release push {out}")
    if found.refusals:
        return 1
    return EXIT_CHANGES if detailed_exitcode and found.has_changes else 0
