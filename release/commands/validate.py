"""`release validate TARGET`: is the repository what it claims to be?"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from release.options import (
    DEFAULT_BUILD,
    DEFAULT_MANIFESTS,
    BaseModelOption,
    BuildOption,
    HubOption,
    ManifestsOption,
)

if TYPE_CHECKING:
    from release.targets import Target
    from validators.report import Report

EXIT_NOT_CHECKED = 3


class TierName(StrEnum):
    """How far to look; each tier includes the ones before it."""

    static = "static"
    load = "load"
    activations = "activations"


class OutputFormat(StrEnum):
    """How to print the result."""

    text = "text"
    json = "json"


def validate(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="owner/name[@revision], a folder, or a manifest (.yaml)."
        ),
    ],
    tier: Annotated[
        TierName | None,
        typer.Option(
            help="static: names, configs, headers; load: weights too; activations: run the base "
            "model. Default: static for owner/name, load for a folder, activations for a manifest."
        ),
    ] = None,
    output: Annotated[
        OutputFormat, typer.Option("--format", help="json prints the whole report, nothing else.")
    ] = OutputFormat.text,
    hub: HubOption = None,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    build: BuildOption = DEFAULT_BUILD,
    base_model: BaseModelOption = None,
) -> int:
    """Check one SAE repository and print what is wrong, why it matters and how to mend it.

    Example: release validate Solshine/deception-saes-tinyllama-1-1b
    """
    from release.console import TerminalProgress, show_report, write_data
    from release.hub_connection import connect
    from release.targets import parse_target
    from release.validation import validate_target

    parsed = parse_target(target, manifests=manifests)
    with connect(hub, build=build) as connection:
        report = validate_target(
            parsed,
            connection,
            tier=tier.value if tier else None,
            manifests=manifests,
            build_root=build,
            base_model=base_model,
            progress=TerminalProgress(),
        )
    if output is OutputFormat.json:
        write_data(report.model_dump_json(indent=2))
    else:
        show_report(report, next_command=_next_command(target, parsed, report))
    return report.checks.exit_code if report.checks else EXIT_NOT_CHECKED


def _next_command(target: str, parsed: Target, report: Report) -> str:
    """What to run after a good result: look further, or go on with one's own release."""
    from release.targets import ManifestTarget

    reached = report.checks.tiers[-1] if report.checks else "static"
    if reached == "static":
        return f"release validate {target} --tier load"
    if reached == "load":
        return f"release validate {target} --tier activations"
    return f"release render {target}" if isinstance(parsed, ManifestTarget) else "use it"
