"""A report as Markdown, for the summary of a job ($GITHUB_STEP_SUMMARY)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from validators.presenting.closing import closing_sentence
from validators.presenting.findings import Finding, findings, headline
from validators.presenting.pages import with_titles
from validators.presenting.printable import one_line
from validators.presenting.tally import tally
from validators.report import Checks, OutcomeKind, Report

# GitHub refuses a step's summary above 1 MiB.
MAX_BYTES = 1_000_000
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-!|~$@:.])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_KINDS: tuple[OutcomeKind, ...] = ("failed", "crashed", "warned", "accepted", "noted")
_MAX_NAMED = 4
_MAX_CELL = 300


def markdown_text(
    report: Report, *, next_command: str = "use it", max_bytes: int = MAX_BYTES
) -> str:
    """A heading, what was decided, counts, and a table of what was found, failures first.

    Args:
        report: what to show.
        next_command: what to run when all is well.
        max_bytes: of UTF-8; rows that do not fit are left out, and their number is told.
    """
    heading = f"## {_escaped(report.repo_id)}" if report.repo_id else "## SAE repository"
    decided = _escaped(closing_sentence(report, next_command=next_command), 1000)
    head = [heading, "", f"**{decided}**", ""]
    rows: list[str] = []
    if report.checks is not None:
        head += _counts(report.checks)
        rows += [
            _row(finding) for kind in _KINDS for finding in findings(report.checks.outcomes, kind)
        ]
        rows += _gap_rows(report.checks)
    if rows:
        head += ["| check | outcome | where | found | next |", "|---|---|---|---|---|"]
    return "\n".join(_that_fit(head, rows, max_bytes)) + "\n"


def _counts(checks: Checks) -> list[str]:
    n = tally(checks.outcomes)
    return [
        "| passed | warned | failed | accepted | skipped |",
        "|---:|---:|---:|---:|---:|",
        f"| {n.passed} | {n.warned} | {n.failed} | {n.accepted} | {n.gaps} |",
        "",
    ]


def _row(finding: Finding) -> str:
    first = finding.first
    names = finding.subjects
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    where = (", ".join(names[:_MAX_NAMED]) + more) or "the repository"
    found = headline(first) if finding.kind == "crashed" else first.found or first.title
    if not finding.is_alike:
        found = f"{first.subject}: {found}"
    if finding.acceptance is not None:
        found += f" (accepted since {finding.acceptance.since}: {finding.acceptance.why})"
    return _cells(finding.code, finding.word, where, found, with_titles(first.next_step))


def _gap_rows(checks: Checks) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    next_steps: dict[str, str] = {}
    for outcome in checks.outcomes:
        if outcome.outcome == "skipped" and outcome.required:
            by_reason.setdefault(outcome.found, []).append(outcome.code)
            next_steps.setdefault(outcome.found, outcome.next_step)
    return [
        _cells(", ".join(sorted(set(codes))), "skipped", "", reason, next_steps[reason])
        for reason, codes in by_reason.items()
    ]


def _cells(*texts: str) -> str:
    return f"| {' | '.join(_escaped(text) for text in texts)} |"


def _escaped(text: str, most: int = _MAX_CELL) -> str:
    """Text that Markdown and HTML show as it is, on one line, without links or mentions."""
    return _SPECIAL.sub(r"\\\1", one_line(text, most)).translate(_ENTITIES)


def _that_fit(head: Iterable[str], rows: list[str], max_bytes: int) -> list[str]:
    lines = list(head)
    room = max_bytes - sum(len(line.encode("utf-8", "replace")) + 1 for line in lines) - 200
    for position, row in enumerate(rows):
        room -= len(row.encode("utf-8", "replace")) + 1
        if room < 0:
            n = len(rows) - position
            return [*lines, "", f"{n} more rows are left out; `--format json` has all."]
        lines.append(row)
    return lines
