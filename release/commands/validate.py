"""`release validate TARGET`: is the repository what it claims to be?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from release import completion
from release.options import (
    DEFAULT_BUILD,
    DEFAULT_MANIFESTS,
    BaseModelOption,
    BuildOption,
    HubOption,
    ManifestsOption,
)
from release.report_output import OutputFormat

if TYPE_CHECKING:
    from release.targets import Target
    from release.validation import Found
    from validators.report import Report

EXIT_NOT_CHECKED = 3


class TierName(StrEnum):
    """How far to look; each tier includes the ones before it."""

    static = "static"
    load = "load"
    activations = "activations"


def validate(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="owner/name[@revision], a folder, or a manifest (.yaml).",
            autocompletion=completion.targets,
        ),
    ],
    tier: Annotated[
        TierName | None,
        typer.Option(
            help="static: names, configs, headers; load: weights too; activations: run the base "
            "model. Default: static for owner/name, load for a folder, activations for a manifest."
        ),
    ] = None,
    output_format: Annotated[
        OutputFormat,
        typer.Option("--format", help="All but text print data for another tool, nothing else."),
    ] = OutputFormat.text,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the result there."),
    ] = None,
    select: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODES",
            help="Report these only: W, W1, W103; commas, repeatable.",
            autocompletion=completion.check_code_lists,
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODES",
            help="Leave these out, written as for --select.",
            autocompletion=completion.check_code_lists,
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="A warning is a failure.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Check these SAEs only, by id; repeatable.",
            autocompletion=completion.sae_ids,
        ),
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Measure on this text; implies --tier activations."),
    ] = None,
    activations: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Measure on saved activations; implies --tier activations."
        ),
    ] = None,
    base_model: BaseModelOption = None,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="Write a copy in which what is mechanical is mended; check it."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where --fix writes the copy. Default: NAME-fixed under build/."
        ),
    ] = None,
    run_snippets: Annotated[
        bool,
        typer.Option(
            "--run-snippets",
            help="Run the code blocks of the repository's README. It is code of whoever wrote it, "
            "and runs with your rights.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Download more than 2 GB of weights unasked.")
    ] = False,
    hub: HubOption = None,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    build: BuildOption = DEFAULT_BUILD,
) -> int:
    """Check one SAE repository and print what is wrong, why it matters and how to mend it.

    Example: release validate Solshine/deception-saes-tinyllama-1-1b
    """
    from release.adopting import adoption_of
    from release.console import (
        TerminalProgress,
        say,
        stderr_console,
        terminal_width,
        write_data,
    )
    from release.hub_connection import connect
    from release.mending import mend_copy, mended_text, refuse_full_folder
    from release.report_output import write_report
    from release.served_copy import HubServing
    from release.targets import parse_target
    from release.validation import asked_tier, check, find, refuse_large_download
    from validators.options import ValidateOptions
    from validators.registry import all_checks
    from validators.selection import parse_selection

    asked = asked_tier(
        tier.value if tier else None, base_model=base_model, text=text, activations=activations
    )
    _refuse_out_alone(fix=fix, out=out)
    selection = parse_selection(select or (), ignore or (), checks=all_checks())
    parsed = parse_target(target, manifests=manifests)
    progress = TerminalProgress()
    with connect(hub, build=build) as connection:
        # Published weights that a manifest adopts are mended into its build, not beside it.
        adoption = adoption_of(parsed, build) if fix and out is None else None
        if adoption is not None:
            found = adoption.published(connection)
        else:
            found = find(
                parsed, connection, manifests=manifests, build_root=build, progress=progress
            )
        reached = asked or found.default_tier
        globs = tuple(only or ())
        copy = out or build / f"{found.name}-fixed"
        if fix and adoption is None:
            refuse_full_folder(copy)
        if not yes and (fix or reached != "static"):
            refuse_large_download(found.repository, only=globs, every_file=fix)
        if fix:
            if adoption is not None:
                adopted = adoption.place(found, progress=progress)
                found, mended, told = adopted.found, adopted.mended, adopted.told
            else:
                found, mended = mend_copy(found, copy, progress=progress)
                told = ""
            to_stdout = output_format is OutputFormat.text and output is None
            width = terminal_width() if to_stdout else stderr_console().width
            (write_data if to_stdout else say)(mended_text(mended, width=width, told=told))
        report = check(
            found,
            tier=reached,
            options=ValidateOptions(
                base_model=base_model,
                text=text,
                activations=activations,
                only=globs,
                selection=selection,
                strict=strict,
                endpoint=connection.endpoint,
                token=connection.token,
                hub=HubServing(connection),
                run_snippets=run_snippets,
            ),
            progress=progress,
        )
    is_copy = fix and adoption is None
    write_report(
        report,
        output_format,
        output,
        next_command=_next_command(
            str(copy) if is_copy else target, None if is_copy else parsed, report, found, hub
        ),
        mend_command=None if fix else f"release validate {_quoted(target)} --fix",
    )
    return report.checks.exit_code if report.checks else EXIT_NOT_CHECKED


def _refuse_out_alone(*, fix: bool, out: Path | None) -> None:
    """Refuse a place for a copy that nobody asked for.

    Raises:
        UsageError: naming the options.
    """
    from manifests.errors import UsageError

    if out is not None and not fix:
        raise UsageError(
            "--out was given without --fix",
            expected="--fix, which writes a mended copy to --out",
            next_step="add --fix; --output FILE is where the result is written",
        )


def _next_command(
    target: str, parsed: Target | None, report: Report, found: Found, hub: str | None
) -> str:
    """What to run after a good result: look further, or go on with one's own release."""
    from release.targets import HubTarget, ManifestTarget

    reached = report.checks.tiers[-1] if report.checks else "static"
    if isinstance(parsed, ManifestTarget) and reached in (found.default_tier, "activations"):
        return f"release render {_quoted(target)}"
    there = f" --hub {hub}" if hub and isinstance(parsed, HubTarget) else ""
    if reached == "static":
        return f"release validate {_quoted(target)}{there} --tier load"
    if reached == "load":
        return f"release validate {_quoted(target)}{there} --tier activations"
    return "use it"


def _quoted(target: str) -> str:
    return f'"{target}"' if " " in target else target
