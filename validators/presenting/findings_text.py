"""What checks found, as blocks of lines; in four lengths, so that a screen can hold it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from validators.blocking import blocked_by
from validators.presenting.findings import Finding, headline
from validators.presenting.pages import with_titles
from validators.presenting.printable import bounded, name_of, one_line, printable
from validators.presenting.wrapping import wrapped
from validators.report import Outcome

# From everything to one line for each finding.
FULL, SHORT_WARNINGS, SHORT, ONE_LINE = LENGTHS = range(4)
_INDENT, _HANGING = " " * 5, " " * 7
_MAX_CODES = 6
_MAX_LINES = 12
_MAX_LABEL = 40
_FRAME = 'File "'


@dataclass(frozen=True)
class Layout:
    """How findings are written.

    Attributes:
        width: columns of a line.
        length: one of LENGTHS.
        mendable: codes that `mend_command` mends.
        mend_command: the command that writes a mended copy; None: there is none here.
    """

    width: int = 80
    length: int = FULL
    mendable: frozenset[str] = frozenset()
    mend_command: str | None = None


def finding_block(finding: Finding, layout: Layout) -> list[str]:
    """One problem with all the SAEs that have it, where, what was expected, what next."""
    is_bad = finding.kind in ("failed", "crashed")
    if layout.length == ONE_LINE or (layout.length >= SHORT_WARNINGS and not is_bad):
        return _as_one_line(finding, layout)
    most = 4 if layout.length == FULL else 1
    lines = _told_once(finding, layout, most) if finding.is_alike else _each(finding, layout, most)
    expected = finding.distinct("expected")
    if len(expected) == 1 and layout.length < SHORT:
        lines += _labelled("expected", expected[0], layout)
    if finding.acceptance is not None:
        accepted = f"accepted since {finding.acceptance.since}"
        lines += _labelled(accepted, finding.acceptance.why, layout)
    for next_step in finding.distinct("next_step")[: 2 if layout.length == FULL else 1]:
        lines += _labelled("next", with_titles(next_step), layout)
    if is_bad and finding.code in layout.mendable and layout.mend_command:
        lines += _labelled(
            "mend", f"`{layout.mend_command}` mends what is mechanical, in a copy", layout
        )
    return lines


def gap_blocks(outcomes: Sequence[Outcome], layout: Layout) -> list[list[str]]:
    """Required checks that were skipped, by reason; those that wait for a failure in one line."""
    waiting = [o for o in outcomes if o.required and blocked_by(o) is not None]
    by_reason: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.outcome == "skipped" and outcome.required and blocked_by(outcome) is None:
            by_reason.setdefault(outcome.found, []).append(outcome)
    blocks = []
    for reason, skipped in by_reason.items():
        head = f"skipped {len(skipped)} check{'s' * (len(skipped) != 1)} ({_codes(skipped)})"
        if layout.length >= SHORT:
            blocks.append(_cut(f"{head}: {one_line(reason)}", layout.width))
            continue
        next_step = with_titles(skipped[0].next_step)
        lines = wrapped(head, width=layout.width, rest=_INDENT)
        blocks.append(
            lines + _labelled("why", reason, layout) + _labelled("next", next_step, layout)
        )
    if waiting:
        causes = sorted({code for o in waiting if (code := blocked_by(o)) is not None})
        n = f"{len(waiting)} check{'s' * (len(waiting) != 1)} ({_codes(waiting)})"
        text = f"skipped {n}, since they rest on {_listed(causes)}, which failed"
        blocks.append(wrapped(text, width=layout.width, rest=_INDENT))
    return blocks


def unasked_block(outcomes: Sequence[Outcome], layout: Layout) -> list[str]:
    """Checks of the repository that there was nothing to ask about, by reason."""
    by_reason: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.outcome == "skipped" and not outcome.required and not outcome.subject:
            by_reason.setdefault(outcome.found, []).append(outcome)
    lines = []
    if layout.length >= SHORT and len(by_reason) > 1:
        n = sum(map(len, by_reason.values()))
        told = f"{n} checks were not asked; --format json says why"
        return wrapped(told, width=layout.width, rest=_INDENT)
    for reason, skipped in by_reason.items():
        text = f"not asked, since {one_line(reason)}: {_codes(skipped)}"
        lines += wrapped(text, width=layout.width, rest=_INDENT)
    return lines


def _as_one_line(finding: Finding, layout: Layout) -> list[str]:
    n = len(finding.subjects)
    where = f" on {n} SAEs" if n > 1 else f" on {name_of(finding.subjects[0])}" if n else ""
    told = one_line(headline(finding.first))
    if finding.acceptance is not None:
        # Why it is accepted matters more than the number that it is accepted for.
        why = f"{finding.acceptance.since}: {one_line(finding.acceptance.why)}"
        text = f"{finding.code} accepted since {why} ({told}{where})"
        return wrapped(text, width=layout.width, rest=_INDENT)
    return _cut(f"{finding.code} {finding.word}{where}: {told}", layout.width)


def _told_once(finding: Finding, layout: Layout, most: int) -> list[str]:
    first = finding.first
    what, *more = _shown_lines(first.found or first.title)
    if finding.kind == "crashed":
        frames = [line.strip() for line in printable(first.found).splitlines() if _FRAME in line]
        what, more = one_line(headline(first)), [bounded(frame) for frame in frames[-1:]]
    lines = wrapped(f"{first.code} {finding.word}: {what}", width=layout.width, rest=_HANGING)
    for line in more:
        # The bar keeps a stranger's line from standing at the beginning of ours.
        lines += wrapped(line, width=layout.width, first=f"{_INDENT}| ", rest=f"{_INDENT}| ")
    if finding.subjects:
        where = _listed([name_of(subject) for subject in finding.subjects], most)
        lines += _labelled("where", where, layout)
    return lines


def _each(finding: Finding, layout: Layout, most: int) -> list[str]:
    """What was found on each of the first SAEs, and how many more there are."""
    first = finding.first
    head = (
        f"{first.code} {finding.word} on {len(finding.outcomes)} SAEs; asked is that {first.title}"
    )
    lines = wrapped(head, width=layout.width, rest=_HANGING)
    differs = len(finding.distinct("expected")) > 1
    for outcome in finding.outcomes[:most]:
        found = headline(outcome) if finding.kind == "crashed" else outcome.found
        expected = f"; expected {outcome.expected}" if differs and outcome.expected else ""
        label = name_of(outcome.subject)
        told = one_line(f"{found}{expected}", 240)
        if cell_len(label) > _MAX_LABEL:
            lines.append(f"{_INDENT}{label}:")
            lines += wrapped(told, width=layout.width, first=_HANGING, rest=_HANGING)
        else:
            lines += wrapped(told, width=layout.width, first=f"{_INDENT}{label}: ", rest=_HANGING)
    if len(finding.outcomes) > most:
        lines.append(f"{_INDENT}... and {len(finding.outcomes) - most} more; --format json has all")
    return lines


def _labelled(label: str, text: str, layout: Layout) -> list[str]:
    if not text:
        return []
    what, *more = _shown_lines(text)
    lines = wrapped(what, width=layout.width, first=f"{_INDENT}{label}: ", rest=_HANGING)
    for line in more:
        lines += wrapped(line, width=layout.width, first=f"{_INDENT}| ", rest=f"{_INDENT}| ")
    return lines


def _shown_lines(text: str) -> list[str]:
    """The lines of a found text; of many, the first and the last ones."""
    lines = [bounded(line) for line in printable(text).splitlines()] or [""]
    if len(lines) <= _MAX_LINES:
        return lines
    n_left_out = len(lines) - _MAX_LINES
    half = _MAX_LINES // 2
    return [
        *lines[:half],
        f"... {n_left_out} lines left out; --format json has all",
        *lines[-half:],
    ]


def _cut(line: str, width: int) -> list[str]:
    if cell_len(line) <= width:
        return [line]
    kept = line[: max(width - 4, 1)]
    return [f"{kept.rpartition(' ')[0] or kept} ..."]


def _codes(outcomes: Iterable[Outcome]) -> str:
    return _listed(sorted({outcome.code for outcome in outcomes}), _MAX_CODES)


def _listed(names: Sequence[str], most: int = _MAX_CODES) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
