"""`release convert FILE`: a saved report in another form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from release.report_output import OutputFormat

EXIT_NOT_CHECKED = 3


def convert(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="What `release validate --format json` wrote, or a report.json."
        ),
    ],
    output_format: Annotated[
        OutputFormat,
        typer.Option("--format", help="All but text print data for another tool, nothing else."),
    ] = OutputFormat.text,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the result there."),
    ] = None,
) -> int:
    """Show what a former check found, without checking again; ends with that check's exit code.

    Example: release convert report.json --format markdown
    """
    from release.report_output import write_report
    from validators.report import read_report

    found = read_report(file)
    write_report(found, output_format, output, next_command="use it", mend_command=None)
    return found.checks.exit_code if found.checks else EXIT_NOT_CHECKED
