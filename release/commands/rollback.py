"""`release rollback OWNER/NAME --to TAG`: a former state again, by one commit."""

from __future__ import annotations

from typing import Annotated

import typer

from release import completion
from release.options import DEFAULT_BUILD, BuildOption, HubOption, YesOption


def rollback(
    repo_id: Annotated[
        str,
        typer.Argument(
            metavar="OWNER/NAME",
            help="The repository on the Hub.",
            autocompletion=completion.repositories,
        ),
    ],
    to: Annotated[
        str,
        typer.Option("--to", metavar="REVISION", help="A tag, such as release-3, or a commit."),
    ],
    hub: HubOption = None,
    build: BuildOption = DEFAULT_BUILD,
    yes: YesOption = False,
) -> None:
    """Bring a repository back to what it held, by one commit on top of its history.

    Example: release rollback demo/deception-saes-smollm2-135m-instruct --to release-1 --hub embedded
    """  # noqa: E501
    from manifests.errors import UsageError
    from release.console import TerminalProgress, show
    from release.hub_connection import connect
    from release.publishing.rollback import plan_rollback, roll_back
    from release.targets import HubTarget, parse_target
    from validators.presenting.tally import counted

    target = parse_target(repo_id, manifests=build)
    if not isinstance(target, HubTarget) or target.revision is not None:
        raise UsageError(
            f"{repo_id!r} names no repository on the Hub",
            expected="owner/name; the revision to go back to stands after --to",
        )
    with connect(hub, build=build) as connection:
        plan = plan_rollback(target.repo_id, to, connection)
        if not plan.has_changes:
            show(f"{target.repo_id} holds what {to} held already: no commit.")
            return
        show(
            f"{target.repo_id} at {plan.head.oid[:12]} back to {to} ({plan.target.oid[:12]}): "
            f"{counted(len(plan.restores), 'file')} restored, {len(plan.deletes)} deleted."
        )
        for path in plan.deletes:
            show(f"  - {path}")
        if not yes:
            typer.confirm(f"Roll back on {connection.endpoint}?", abort=True, err=True)
        oid = roll_back(plan, connection, progress=TerminalProgress())
    show(f"{target.repo_id} is at {oid}, with the files of {to}.")
