"""A report as text for a person: a table, problems with failures last, one closing sentence.

Pure functions of the report. It is made to fit a screen: where it would not, what matters least is
told in one line each. The lines are plain ASCII except for what files themselves contain;
`encoding` is that of the terminal, and what it cannot show is written as an escape.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from validators.presenting.closing import closing_sentence
from validators.presenting.findings import findings
from validators.presenting.findings_text import (
    FULL,
    LENGTHS,
    Layout,
    finding_block,
    gap_blocks,
    unasked_block,
)
from validators.presenting.printable import no_command
from validators.presenting.tables import checks_lines, measurement_legend, measurement_lines
from validators.presenting.wrapping import wrapped
from validators.report import Checks, OutcomeKind, Report

SCREEN_LINES = 40
_STYLES: dict[OutcomeKind, str] = {
    "noted": "36",
    "warned": "33",
    "accepted": "35",
    "crashed": "31",
    "failed": "31",
}
_YELLOW, _BOLD, _FAINT = "33", "1", "2"

NEXT_COMMAND = "release render MANIFEST"


@dataclass(frozen=True)
class _Block:
    lines: list[str]
    style: str = ""


def report_text(
    report: Report,
    *,
    width: int = 80,
    height: int = SCREEN_LINES,
    colour: bool = False,
    encoding: str = "utf-8",
    next_command: str = NEXT_COMMAND,
    mendable: frozenset[str] = frozenset(),
    mend_command: str | None = None,
) -> str:
    """The whole report as text that ends with a line break.

    Args:
        report: what to show.
        width: columns of the terminal.
        height: lines that it should fit on; exceeded only where there are more findings than that.
        colour: whether to write ANSI colours.
        encoding: what the terminal understands.
        next_command: what to run when all is well.
        mendable: codes that `mend_command` mends.
        mend_command: the command that writes a mended copy; None: there is none.
    """
    layout = Layout(width=width, length=FULL, mendable=mendable, mend_command=mend_command)
    blocks: list[_Block] = []
    for length in LENGTHS:
        blocks = list(_blocks(report, replace(layout, length=length), next_command))
        if sum(len(block.lines) + 1 for block in blocks) - 1 <= height:
            break
    shown = []
    for block in blocks:
        lines = (no_command(line.rstrip()) for line in block.lines)
        styled = block.style and colour
        shown.append([f"\x1b[{block.style}m{x}\x1b[0m" if styled else x for x in lines])
    text = "\n\n".join("\n".join(lines) for lines in shown) + "\n"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _blocks(report: Report, layout: Layout, next_command: str) -> Iterable[_Block]:
    checks = report.checks
    if report.measurements is not None:
        failed = (
            frozenset(o.subject for o in checks.outcomes if o.outcome == "failed")
            if (checks)
            else frozenset[str]()
        )
        lines = measurement_lines(report.measurements, failed=failed, width=layout.width)
        for line in measurement_legend(report.measurements):
            lines += wrapped(line, width=layout.width, rest="  ")
        yield _Block(lines)
    elif checks is not None and checks.outcomes:
        yield _Block(checks_lines(checks, width=layout.width))
    if checks is not None:
        yield from _finding_blocks(checks, layout)
    closing = closing_sentence(report, next_command=next_command)
    yield _Block(wrapped(closing, width=layout.width), _BOLD)


def _finding_blocks(checks: Checks, layout: Layout) -> Iterable[_Block]:
    """What was not asked, gaps, notes, warnings, accepted failures, and failures last.

    Findings of one line stand together, so that they are read as a list.
    """
    if unasked := unasked_block(checks.outcomes, layout):
        yield _Block(unasked, _FAINT)
    for gap in gap_blocks(checks.outcomes, layout):
        yield _Block(gap, _YELLOW)
    for kind, style in _STYLES.items():
        told = [finding_block(finding, layout) for finding in findings(checks.outcomes, kind)]
        if all(len(lines) == 1 for lines in told):
            told = [[line for lines in told for line in lines]] if told else []
        for lines in told:
            yield _Block(lines, style)
