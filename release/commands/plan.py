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
    """Hold what lies in the build folder against the Hub's head; nothing is changed there.

    With `--cards-only` cards are rendered first, from what is published where nothing was made
    here. One that cannot be renewed is left out and told.

    Example: release plan manifests/demo-smollm2-135m-instruct.yaml --hub embedded --out plan.json
    """
    from manifests.errors import UsageError
    from release.console import TerminalProgress, say, show
    from release.hub_connection import connect
    from release.publishing.batch import planned
    from release.publishing.plan import write_plan
    from release.publishing.plan_text import plan_text
    from release.publishing.renewal import renewed

    if out is not None and out.suffix != ".json":
        raise UsageError(
            f"--out got {str(out)!r}",
            expected="a file that ends in .json, by which `release push` knows a plan",
            next_step=f"--out {out.with_suffix('.json')}",
        )
    exit_code = 0
    with connect(hub, build=build) as connection:
        if cards_only:
            renewal = renewed(
                paths,
                connection,
                every=every,
                manifests=manifests,
                builds=build,
                delete=delete,
                progress=TerminalProgress(),
                tell=say,
            )
            found, exit_code = renewal.plan, renewal.exit_code
        else:
            found = planned(
                paths,
                connection,
                every=every,
                manifests=manifests,
                builds=build,
                delete=delete,
            )
    show(plan_text(found))
    if out is not None:
        write_plan(found, out)
        where = "" if build == DEFAULT_BUILD else f" --build {build}"
        show(f"Kept in {out}. Next: release push {out}{connection.option}{where}")
    if found.refusals or exit_code:
        return max(exit_code, 1 if found.refusals else 0)
    return EXIT_CHANGES if detailed_exitcode and found.has_changes else 0
