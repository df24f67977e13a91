"""`release push PLAN|MANIFEST...`: one commit to each repository, read back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from release import completion
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

if TYPE_CHECKING:
    from release.hub_connection import HubConnection
    from release.provenance.signing import PrivateKey, WorkflowIdentity
    from release.publishing.plan import Plan, RepositoryPlan
    from release.publishing.push import PushOptions, Receipt


def push(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PLAN|MANIFEST",
            autocompletion=completion.plan_or_manifest_paths,
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
        typer.Option(
            "--public",
            help="Create the repository public (private otherwise); make one public whose manifest "
            "says so.",
        ),
    ] = False,
    sign: Annotated[
        str | None,
        typer.Option(
            "--sign",
            metavar="KEY.pem|keyless",
            help="Sign weights and configurations (model.sig): with the private key in a file, "
            "or as the GitHub workflow that runs (Sigstore). Needs the extra sign.",
        ),
    ] = None,
) -> int:
    """Publish what the build folder holds, if its report and card allow it.

    The plan is shown first, and nothing but it is done. The Python blocks of the card are run
    before anything is sent, unless this very code was run before on these files: on the base model
    where it is at hand or named with `--base-model`, else on a tiny one of its class. Afterwards
    one SAE and the card's code are loaded from the Hub, as a reader does.

    With `--cards-only` cards are rendered first, from what is published where nothing was made
    here. One that cannot be renewed is left out, and keeps no other from being pushed.

    Example: release push manifests/demo-smollm2-135m-instruct.yaml --hub embedded
    """
    from manifests.errors import ReleaseError, UsageError
    from release.console import TerminalProgress, say, show, show_error
    from release.hub_connection import connect
    from release.publishing.batch import planned
    from release.publishing.plan_text import plan_text, receipt_text
    from release.publishing.push import PushOptions
    from release.publishing.renewal import renewed
    from release.publishing.reviewed_plan import reviewed_plan

    signer = _signer(sign)
    codes = [0]
    with connect(hub, build=build) as connection:
        plan = reviewed_plan(paths, connection)
        if plan is not None and (cards_only or every or delete):
            raise UsageError(
                "--cards-only, --all and --delete are for manifests, and a plan was given",
                expected="the plan alone: it says already what is sent and deleted",
                next_step="leave them out, or plan again with them",
            )
        if plan is None and cards_only:
            found = renewed(
                paths,
                connection,
                every=every,
                manifests=manifests,
                builds=build,
                delete=delete,
                progress=TerminalProgress(),
                tell=say,
            )
            plan = found.plan
            codes.append(found.exit_code)
        elif plan is None:
            plan = planned(
                paths,
                connection,
                every=every,
                manifests=manifests,
                builds=build,
                delete=delete,
            )
        show(plan_text(plan))
        if signer is not None:
            _refuse_unsigned(plan)
            show(f"Weights and configurations will be signed by {signer.name}, as model.sig.")
        if (plan.has_changes or signer) and not yes:
            typer.confirm(f"Push to {connection.endpoint}?", abort=True, err=True)
        for each in plan.repositories:
            path = Path(each.manifest)
            options = PushOptions(
                public=public,
                cards_only=each.cards_only,
                pull_request=pull_request,
                base_model=base_model,
                signer=signer,
            )
            try:
                receipt = _pushed(path, build, connection, options, each)
            except ReleaseError as error:
                if not each.cards_only or (len(plan.repositories) == 1 and not max(codes)):
                    raise
                say(f"{path.stem} is not pushed:")
                show_error(error)
                codes.append(error.exit_code)
            else:
                show(receipt_text(receipt))
    return max(codes)


def _pushed(
    path: Path,
    builds: Path,
    connection: HubConnection,
    options: PushOptions,
    reviewed: RepositoryPlan,
) -> Receipt:
    """Push a manifest's build, or the page of a collection."""
    from manifests.build_folder import BuildFolder
    from manifests.collection import is_collection
    from manifests.load import load_manifest
    from release.console import TerminalProgress
    from release.publishing.collection_page import push_page
    from release.publishing.push import push

    if is_collection(path):
        return push_page(
            path,
            builds,
            connection,
            options=options,
            reviewed=reviewed,
            progress=TerminalProgress(),
        )
    return push(
        load_manifest(path),
        BuildFolder(builds / path.stem),
        connection,
        options=options,
        reviewed=reviewed,
        progress=TerminalProgress(),
    )


def _signer(choice: str | None) -> PrivateKey | WorkflowIdentity | None:
    """Who signs, made sure of before anything else is done."""
    import os
    import sys

    from release.provenance.signer_choice import chosen_signer

    def ask(question: str) -> str:
        return str(typer.prompt(question, hide_input=True, err=True))

    if choice is None:
        return None
    return chosen_signer(choice, os.environ, ask=ask if sys.stdin.isatty() else None)


def _refuse_unsigned(plan: Plan) -> None:
    """A push of cards sends nothing that a signature covers."""
    from manifests.errors import UsageError

    if any(each.cards_only for each in plan.repositories):
        raise UsageError(
            "--sign was given for a push of cards alone",
            expected="a push of weights and configurations, which are what is signed",
            next_step="leave --sign out: the signature that is published stays good",
        )
