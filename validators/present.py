"""A report as text for a person: a table of the SAEs, then problems, then one closing sentence.

Pure functions of the report. The lines are plain ASCII except for what files themselves contain;
`encoding` is that of the terminal, and what it cannot show is written as an escape.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from validators.report import Checks, Measurement, Outcome, OutcomeKind, Report

_COLUMNS = (
    ("EV", "explained_variance", "{:.3f}"),
    ("PCA-8", "pca_8_explained_variance", "{:.3f}"),
    ("L0", "l0", "{:.1f}"),
    ("dead", "dead_fraction", "{:.1%}"),
    ("moved", "threshold_moved_fraction", "{:.0%}"),
    ("paths", "path_difference", "{:.0e}"),
)
_HEADINGS: tuple[tuple[OutcomeKind, str, str], ...] = (
    ("noted", "note", "cyan"),
    ("warned", "warning", "yellow"),
    ("accepted", "accepted", "magenta"),
    ("crashed", "crashed", "red"),
    ("failed", "failed", "red"),
)
_MAX_NAMED = 4


def report_text(
    report: Report,
    *,
    width: int = 80,
    colour: bool = False,
    encoding: str = "utf-8",
    next_command: str = "release render MANIFEST",
) -> str:
    """The whole report as text that ends with a line break.

    Args:
        report: what to show.
        width: columns of the terminal.
        colour: whether to write ANSI colours.
        encoding: what the terminal understands.
        next_command: what to run when all is well.
    """
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    if report.measurements is not None:
        console.print(measurement_table(report))
        console.print(Text("\n".join(measurement_legend(report))))
        console.print()
    elif report.checks is not None and report.checks.outcomes:
        console.print(checks_table(report.checks))
        console.print()
    if report.checks is not None:
        for block in problem_blocks(report.checks):
            console.print(block, soft_wrap=False)
            console.print()
    console.print(Text(closing_sentence(report, next_command=next_command), style="bold"))
    lines = (line.rstrip() for line in stream.getvalue().splitlines())
    text = "\n".join(lines) + "\n"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def checks_table(checks: Checks) -> Table:
    """One row for each SAE, and one for the repository: how many checks ended how."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("SAE", overflow="fold")
    kinds: tuple[tuple[str, tuple[OutcomeKind, ...]], ...] = (
        ("passed", ("passed", "noted")),
        ("warned", ("warned",)),
        ("failed", ("failed", "crashed")),
        ("accepted", ("accepted",)),
        ("skipped", ("skipped",)),
    )
    for heading, _ in kinds:
        table.add_column(heading, justify="right", no_wrap=True)
    for subject in dict.fromkeys(outcome.subject for outcome in checks.outcomes):
        own = [outcome.outcome for outcome in checks.outcomes if outcome.subject == subject]
        counts = [sum(kind in wanted for kind in own) for _, wanted in kinds]
        name = printable(subject) if subject else "(the repository)"
        table.add_row(Text(name), *(str(count) for count in counts))
    return table


def measurement_table(report: Report) -> Table:
    """One row for each measured SAE; a number that is missing is a dash, never a zero."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("SAE", overflow="fold")
    for heading, _, _ in _COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    assert report.measurements is not None
    for sae_id, metrics in report.measurements.saes.items():
        cells = [_cell(metrics.get(name), form) for _, name, form in _COLUMNS]
        table.add_row(Text(printable(sae_id)), *cells)
    return table


def measurement_legend(report: Report) -> list[str]:
    """What the columns are, on how many vectors, and why numbers are missing."""
    assert report.measurements is not None
    lines = [
        "EV: explained variance, PCA-8: that of 8 principal components, both held-out;",
        "L0 and dead latents: held-out; moved: JumpReLU thresholds; paths: SAELens - manual.",
    ]
    for condition, counts in report.measurements.n_vectors.items():
        lines.append(
            f"{printable(condition)}: {counts['train']} training vectors, "
            f"{counts['held_out']} held-out"
        )
    reasons: dict[tuple[str, str], int] = {}
    for metrics in report.measurements.saes.values():
        for heading, name, _ in _COLUMNS:
            measurement = metrics.get(name)
            if measurement is not None and measurement.reason is not None:
                key = (heading, measurement.reason)
                reasons[key] = reasons.get(key, 0) + 1
    lines += [
        f"{heading} of {n} SAE{'s' * (n > 1)}: not measured ({printable(reason)})"
        for (heading, reason), n in sorted(reasons.items())
    ]
    return lines


def problem_blocks(checks: Checks) -> list[Text]:
    """Skipped checks by reason, notes, warnings, and failures last; equal ones once.

    Each problem has the form: code and what was found, where, what was expected, what next.
    """
    blocks = []
    for gap_reason, outcomes in _grouped(checks, "skipped"):
        required = [outcome for outcome in outcomes if outcome.required]
        if required:
            codes = sorted({outcome.code for outcome in required})
            lines = [f"skipped {len(required)} checks ({_named(codes)})"]
            lines += _indented("why", gap_reason[0]) + _indented("next", required[0].next_step)
            blocks.append(Text("\n".join(lines), style="yellow"))
    for kind, word, style in _HEADINGS:
        for _, outcomes in _grouped(checks, kind):
            blocks.append(Text("\n".join(problem_lines(outcomes, word)), style=style))
    return blocks


def problem_lines(outcomes: list[Outcome], word: str) -> list[str]:
    """One problem, with all the subjects that have it; a line for each where they differ."""
    first = outcomes[0]
    if len({outcome.found for outcome in outcomes}) > 1:
        return [
            f"{first.code} {word} on {len(outcomes)} SAEs; asked is that {first.title}",
            *_each(outcomes),
            *_indented("expected", first.expected),
            *_acceptance(first),
            *_indented("next", first.next_step),
        ]
    subjects = [printable(outcome.subject) for outcome in outcomes if outcome.subject]
    what, *more = printable(first.found or first.title).splitlines()
    lines = [f"{first.code} {word}: {what}", *(f"       {line}" for line in more)]
    if subjects:
        lines += _indented("where", _named(subjects))
    lines += _indented("expected", first.expected)
    lines += _acceptance(first)
    lines += _indented("next", first.next_step)
    return lines


def closing_sentence(report: Report, *, next_command: str) -> str:
    """What was decided, from how many checks, and what to do next."""
    checks = report.checks
    if checks is None or not checks.outcomes:
        return "NOTHING CHECKED: the report holds no checks; run `release validate` first."
    n_asked = checks.count("passed", "failed", "accepted", "warned", "noted", "crashed")
    n_saes = len({outcome.subject for outcome in checks.outcomes if outcome.subject})
    asked = f"{n_asked} checks on {n_saes} SAE{'s' * (n_saes != 1)}"
    n_accepted = checks.count("accepted")
    known = f" and {n_accepted} failed as accepted" if n_accepted else ""
    n_bad = checks.count("failed", "crashed")
    if n_bad:
        bad = (outcome for outcome in checks.outcomes if outcome.outcome in ("failed", "crashed"))
        return (
            f"FAILED: {n_bad} of {asked} failed{known}; mend {'it' if n_bad == 1 else 'them'} and "
            f"validate again (`release explain {next(bad).code}` tells more)."
        )
    if checks.exit_code == 3:
        return (
            f"INCOMPLETE: none of {asked} failed{known}, but {checks.n_gaps} required checks were "
            "skipped; supply what they lack and validate again."
        )
    n_warned = checks.count("warned")
    warned = f" with {n_warned} warning{'s' * (n_warned != 1)}" if n_warned else ""
    if n_accepted:
        asked = f"{n_asked - n_accepted} of {asked}"
    return f"PASSED: {asked} passed{warned}{known}, tier {checks.tiers[-1]}; next: {next_command}"


def printable(text: str) -> str:
    """Text from a file with control characters as escapes, so that it cannot steer a terminal."""
    return "".join(
        char
        if char == "\n" or not unicodedata.category(char).startswith("C")
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def _grouped(checks: Checks, kind: OutcomeKind) -> list[tuple[tuple[str, ...], list[Outcome]]]:
    groups: dict[tuple[str, ...], list[Outcome]] = {}
    for outcome in checks.outcomes:
        if outcome.outcome != kind:
            continue
        if kind == "skipped":
            key: tuple[str, ...] = (outcome.found,)
        else:
            # A crash is told whole; what else differs only in its numbers is told together.
            found = outcome.found if kind == "crashed" or not outcome.subject else ""
            key = (outcome.code, found, *_acceptance(outcome), outcome.expected, outcome.next_step)
        groups.setdefault(key, []).append(outcome)
    return sorted(groups.items()) if kind != "skipped" else list(groups.items())


def _acceptance(outcome: Outcome) -> list[str]:
    """Since when the manifest accepts a failure, and why; no line for what is not accepted."""
    if outcome.acceptance is None:
        return []
    return _indented(f"accepted since {outcome.acceptance.since}", outcome.acceptance.why)


def _each(outcomes: list[Outcome]) -> list[str]:
    """What was found on each of the first subjects, and how many more there are."""
    lines = []
    for outcome in outcomes[:_MAX_NAMED]:
        lines += _indented(printable(outcome.subject), outcome.found)
    if len(outcomes) > _MAX_NAMED:
        lines.append(f"     ... and {len(outcomes) - _MAX_NAMED} more; --format json has all")
    return lines


def _indented(label: str, text: str) -> list[str]:
    if not text:
        return []
    lines = printable(text).splitlines()
    return [f"     {label}: {lines[0]}", *(f"       {line}" for line in lines[1:])]


def _named(names: Iterable[str]) -> str:
    every = list(names)
    rest = f" and {len(every) - _MAX_NAMED} more" if len(every) > _MAX_NAMED else ""
    return ", ".join(every[:_MAX_NAMED]) + rest


def _cell(measurement: Measurement | None, form: str) -> str:
    if measurement is None or measurement.value is None:
        return "-"
    return "0" if measurement.value == 0 else form.format(measurement.value)
