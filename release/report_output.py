"""A report in the format that was asked for, to stdout or to a file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from validators.report import Report


class OutputFormat(StrEnum):
    """How to print the result."""

    text = "text"
    json = "json"
    junit = "junit"
    sarif = "sarif"
    github = "github"
    markdown = "markdown"


def write_report(
    report: Report,
    output_format: OutputFormat,
    output: Path | None,
    *,
    next_command: str,
    mend_command: str | None,
) -> None:
    """Print the result, or write it to a file and say what was decided."""
    from release.console import say, show_report, write_data, write_file
    from validators.presenting.closing import closing_sentence

    if output_format is OutputFormat.text and output is None:
        show_report(report, next_command=next_command, mend_command=mend_command)
        return
    text = _rendered(report, output_format, next_command, mend_command)
    if output is None:
        write_data(text)
        return
    write_file(output, text)
    say(f"{closing_sentence(report, next_command=next_command)}\nwritten: {output}")


def _rendered(
    report: Report, output_format: OutputFormat, next_command: str, mend_command: str | None
) -> str:
    match output_format:
        case OutputFormat.text:
            from release.console import UNBOUNDED
            from validators.mendable import mendable_codes
            from validators.presenting.present import report_text

            return report_text(
                report,
                width=UNBOUNDED,
                next_command=next_command,
                mendable=mendable_codes(report),
                mend_command=mend_command,
            )
        case OutputFormat.json:
            return report.model_dump_json(indent=2)
        case OutputFormat.junit:
            from validators.presenting.junit import junit_text

            return junit_text(report)
        case OutputFormat.sarif:
            from validators.presenting.sarif import sarif_text

            return sarif_text(report)
        case OutputFormat.github:
            from validators.presenting.github_annotations import github_text

            return github_text(report, next_command=next_command)
        case OutputFormat.markdown:
            from validators.presenting.markdown_summary import markdown_text

            return markdown_text(report, next_command=next_command)
