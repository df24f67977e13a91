"""A report as workflow commands of GitHub Actions, which show it beside the files.

GitHub shows ten errors and ten warnings of a step, so each finding is one command, whatever the
number of SAEs. What comes from files is escaped: it can neither end a command nor begin one.

Source: GitHub, "Workflow commands for GitHub Actions"; actions/toolkit, packages/core command.ts.
"""

from __future__ import annotations

from validators.presenting.closing import closing_sentence
from validators.presenting.findings import Finding, findings
from validators.presenting.outcome_files import file_of
from validators.presenting.printable import bounded, printable
from validators.presenting.sarif import message_of
from validators.presenting.tally import tally
from validators.report import OutcomeKind, Report

_COMMANDS: tuple[tuple[OutcomeKind, str], ...] = (
    ("failed", "error"),
    ("crashed", "error"),
    ("warned", "warning"),
    ("accepted", "notice"),
    ("noted", "notice"),
)
_MAX_NAMED = 8


def github_text(report: Report, *, next_command: str = "use it") -> str:
    """One command a line, failures first, since GitHub shows the first ten; last the decision."""
    outcomes = report.checks.outcomes if report.checks else ()
    lines = [
        command(
            word,
            _message(finding),
            file=file_of(finding.first),
            title=f"{finding.code} {finding.word}: {finding.first.title}",
        )
        for kind, word in _COMMANDS
        for finding in findings(outcomes, kind)
    ]
    decided = closing_sentence(report, next_command=next_command)
    is_good = report.checks is not None and report.checks.exit_code == 0
    lines.append(command("notice" if is_good else "error", decided, title="release validate"))
    gaps = tally(outcomes).gaps
    if gaps:
        skipped = sorted({o.code for o in outcomes if o.outcome == "skipped" and o.required})
        said = f"{gaps} required checks were skipped: {', '.join(skipped)}"
        lines.insert(-1, command("warning", said, title="release validate: skipped"))
    return "\n".join(lines) + "\n"


def command(name: str, message: str, *, file: str | None = None, title: str) -> str:
    """One workflow command.

    `%`, CR and LF of a message are percent-encoded, in a property `:` and `,` as well.
    """
    properties = (
        f"file={_property(file)},title={_property(title)}"
        if file
        else (f"title={_property(title)}")
    )
    return f"::{name} {properties}::{_data(message)}"


def _message(finding: Finding) -> str:
    first = finding.first
    text = message_of(first)
    subjects = finding.subjects
    if len(subjects) > 1:
        more = f" and {len(subjects) - _MAX_NAMED} more" if len(subjects) > _MAX_NAMED else ""
        text += f"\non {len(subjects)} SAEs: {', '.join(subjects[:_MAX_NAMED])}{more}"
        if not finding.is_alike:
            text += f"\n(found so on {first.subject})"
    elif subjects:
        text += f"\non {subjects[0]}"
    if finding.acceptance is not None:
        text += f"\naccepted since {finding.acceptance.since}: {finding.acceptance.why}"
    return text


def _data(text: str) -> str:
    shown = bounded(printable(text), 4000)
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
