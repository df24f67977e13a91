"""`release push PLAN|MANIFEST...`: one commit to each repository, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from release.options import (
    DEFAULT_BUILD,
    DEFAULT_MANIFESTS,
    AllOption,
    BaseModelOption,
    BuildOption,
    CardsOnlyOption,
    DeleteOption,
    HubOption,
    ManifestsOption,
    YesOption,
)


def push(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PLAN|MANIFEST...",
            help="One or more manifests, or a plan (.json) that `release plan --out` kept.",
        ),
    ] = None,
    every: AllOption = False,
    hub: HubOption = None,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    build: BuildOption = DEFAULT_BUILD,
    base_model: BaseModelOption = None,
    cards_only: CardsOnlyOption = False,
    delete: DeleteOption = False,
    pull_request: Annotated[
        bool,
        typer.Option("--pr", help="Open a pull request in place of a commit, and print its URL."),
    ] = False,
    yes: YesOption = False,
    public: Annotated[
        bool,
        typer.Option("--public", help="Create the repository public (private otherwise)."),
    ] = False,
) -> None:
    """Publish what the build folder holds, if its report and card allow it.

    The plan is shown first, and nothing but it is done. The Python blocks of the card are run
    before anything is sent, unless they were run before on these very bytes: on the base model
    where it is at hand or named with `--base-model`, else on a tiny one of its class.

    Example: release push manifests/demo-smollm2-135m-instruct.yaml --hub embedded
    """
    from manifests.build_folder import BuildFolder
    from manifests.load import load_manifest
    from release.console import TerminalProgress, show
    from release.hub_connection import connect
    from release.publishing.batch import planned
    from release.publishing.plan_text import plan_text, receipt_text
    from release.publishing.push import PushOptions, push
    from release.publishing.reviewed_plan import reviewed_plan

    with connect(hub, build=build) as connection:
        plan = reviewed_plan(paths, connection)
        if plan is None:
            plan = planned(
                paths,
                connection,
                every=every,
                manifests=manifests,
                builds=build,
                cards_only=cards_only,
                delete=delete,
            )
        show(plan_text(plan))
        if plan.has_changes and not yes:
            typer.confirm(f"Push to {connection.endpoint}?", abort=True, err=True)
        for each in plan.repositories:
            loaded = load_manifest(Path(each.manifest))
            options = PushOptions(
                public=public,
                cards_only=each.cards_only,
                pull_request=pull_request,
                base_model=base_model,
            )
            receipt = push(
                loaded,
                BuildFolder(build / loaded.name),
                connection,
                options=options,
                reviewed=each,
                progress=TerminalProgress(),
            )
            show(receipt_text(receipt))
