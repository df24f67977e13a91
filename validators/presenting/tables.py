"""The tables of a report: what was measured on each SAE, and how many checks ended how."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from validators.presenting.printable import name_of, one_line
from validators.presenting.tally import Tally, counted, tally
from validators.presenting.wrapping import wrapped
from validators.report import Checks, Measurement, Measurements

_MAX_ROWS = 20
_INDENT = " " * 5
_MAX_PROFILES = 8
_MAX_REASONS = 4
_MAX_CONDITIONS = 4


@dataclass(frozen=True)
class _Column:
    """A metric as a column; it is shown where the report holds the metric."""

    heading: str
    metric: str
    form: str
    meaning: str


_COLUMNS = (
    _Column("EV", "explained_variance", "{:.3f}", "explained variance, held-out"),
    _Column("PCA-8", "pca_8_explained_variance", "{:.3f}", "that of 8 principal components"),
    _Column("CE", "ce_recovered", "{:.3f}", "cross-entropy recovered"),
    _Column("KL", "kl", "{:.3f}", "divergence of the next token, nats"),
    _Column("L0", "l0", "{:.1f}", "active latents, held-out"),
    _Column("dead", "dead_fraction", "{:.1%}", "dead latents, held-out"),
    _Column("moved", "threshold_moved_fraction", "{:.0%}", "JumpReLU thresholds moved"),
    _Column("paths", "path_difference", "{:.0e}", "SAELens - manual"),
)


def laid_out(header: Sequence[str], rows: Sequence[Sequence[str]], *, width: int) -> list[str]:
    """A table with the names at the left and the numbers at the right of their columns.

    A name that leaves no room for its numbers has a line of its own, unbroken.
    """
    every = [header, *rows]
    numbers = [max(cell_len(row[i]) for row in every) for i in range(1, len(header))]
    room = width - sum(1 + size for size in numbers)
    fitting = [cell_len(row[0]) for row in every if cell_len(row[0]) <= room]
    name_width = max(fitting, default=0)
    lines = []
    for row in every:
        name = row[0]
        if cell_len(name) > name_width:
            lines.append(name)
            name = ""
        cells = (f" {cell:>{size}}" for cell, size in zip(row[1:], numbers, strict=True))
        lines.append((name + " " * (name_width - cell_len(name)) + "".join(cells)).rstrip())
    return lines


def measurement_lines(
    measurements: Measurements, *, failed: frozenset[str] = frozenset(), width: int = 80
) -> list[str]:
    """One row for each measured SAE; of many, the range and those that failed a check."""
    saes = measurements.saes
    header, every = measurement_table(measurements)
    if len(saes) <= _MAX_ROWS:
        return laid_out(header, every, width=width)
    columns = _shown_columns(measurements)
    rows = [
        (f"{word} of {len(saes)} SAEs", *(_over_all(saes.values(), c, word) for c in columns))
        for word in ("lowest", "median", "highest")
    ]
    bad = [row for sae_id, row in zip(saes, every, strict=True) if sae_id in failed]
    return laid_out(header, rows + bad[:_MAX_PROFILES], width=width)


def measurement_table(measurements: Measurements) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows: every measured SAE, and the metrics that the report holds of any.

    A number that is missing is a dash, never a zero.
    """
    columns = _shown_columns(measurements)
    rows = [
        (name_of(sae_id), *(_cell(metrics.get(c.metric), c.form) for c in columns))
        for sae_id, metrics in measurements.saes.items()
    ]
    return ("SAE", *(column.heading for column in columns)), rows


def measurement_legend(measurements: Measurements) -> list[str]:
    """What the columns are, on how many vectors, and why numbers are missing; not yet wrapped."""
    columns = _shown_columns(measurements)
    lines = ["; ".join(f"{column.heading}: {column.meaning}" for column in columns) + "."]
    counts = measurements.n_vectors
    for condition, n in list(counts.items())[:_MAX_CONDITIONS]:
        train = f"{n['train']} training vectors, " if n.get("train") else ""
        lines.append(f"{name_of(condition)}: {train}{n.get('held_out', 0)} held-out")
    if len(counts) > _MAX_CONDITIONS:
        lines.append(f"... and {len(counts) - _MAX_CONDITIONS} more conditions")
    reasons: dict[tuple[str, str], int] = {}
    for metrics in measurements.saes.values():
        for column in columns:
            measurement = metrics.get(column.metric)
            if measurement is not None and measurement.reason is not None:
                key = (column.heading, measurement.reason)
                reasons[key] = reasons.get(key, 0) + 1
    told = sorted(reasons.items())[:_MAX_REASONS]
    lines += [
        f"{heading} of {counted(n, 'SAE')}: not measured ({one_line(reason, 120)})"
        for (heading, reason), n in told
    ]
    if len(reasons) > len(told):
        lines.append(f"... and {len(reasons) - len(told)} more reasons; --format json has all")
    return lines


def checks_lines(checks: Checks, *, width: int = 80) -> list[str]:
    """How many checks ended how: one sentence where all SAEs are alike, else a row for each.

    Of many SAEs, those with the same numbers share a row, the good ones first.
    """
    by_subject: dict[str, Tally] = {
        subject: tally(outcome for outcome in checks.outcomes if outcome.subject == subject)
        for subject in sorted({outcome.subject for outcome in checks.outcomes})
    }
    # Outcomes are in the report's order; a dictionary keeps that order for the rows.
    order = dict.fromkeys(outcome.subject for outcome in checks.outcomes if outcome.subject)
    profiles: dict[tuple[int, ...], list[str]] = {}
    for subject in order:
        profiles.setdefault(_counts(by_subject[subject]), []).append(subject)
    whole = by_subject.get("")
    if len(profiles) == 1 and len(order) > 1:
        told = [f"{len(order)} SAEs: {_sentence(by_subject[next(iter(order))])} each"]
        told += [f"the repository: {_sentence(whole)}"] if whole else []
        return [line for one in told for line in wrapped(one, width=width, rest=_INDENT)]
    if len(order) <= _MAX_ROWS // 2:
        rows = [(name_of(subject), _counts(by_subject[subject])) for subject in order]
    else:
        rows = _profile_rows(profiles)
    if whole is not None:
        rows.insert(0, ("(the repository)", _counts(whole)))
    used = [i for i in range(5) if i == 0 or any(counts[i] for _, counts in rows)]
    headings = ("passed", "warned", "failed", "accepted", "skipped")
    header = ("SAE", *(headings[i] for i in used))
    return laid_out(
        header, [(name, *(str(counts[i]) for i in used)) for name, counts in rows], width=width
    )


def _profile_rows(
    profiles: dict[tuple[int, ...], list[str]],
) -> list[tuple[str, tuple[int, ...]]]:
    """A row for all SAEs with the same numbers; the best of many rows are put together."""

    def badness(item: tuple[tuple[int, ...], list[str]]) -> tuple[int, ...]:
        passed, warned, failed, accepted, gaps = item[0]
        return (failed, gaps, accepted, warned, -passed)

    ordered = sorted(profiles.items(), key=badness)
    rows = []
    left_out, shown = ordered[:-_MAX_PROFILES], ordered[-_MAX_PROFILES:]
    if left_out:
        n = sum(len(subjects) for _, subjects in left_out)
        sums = tuple(sum(c[i] * len(s) for c, s in left_out) for i in range(5))
        rows.append((f"{n} SAEs together", sums))
    for counts, subjects in shown:
        more = f" and {len(subjects) - 1} more" if len(subjects) > 1 else ""
        rows.append((name_of(subjects[0]) + more, counts))
    return rows


def _counts(n: Tally) -> tuple[int, ...]:
    return (n.passed, n.warned, n.failed, n.accepted, n.gaps)


def _sentence(n: Tally) -> str:
    rest = ((n.warned, "warned"), (n.failed, "failed"), (n.accepted, "failed as accepted"))
    said = [f"{counted(n.passed, 'check')} passed", *(f"{k} {w}" for k, w in rest if k)]
    return ", ".join(said + ([f"{n.gaps} skipped"] if n.gaps else []))


def _shown_columns(measurements: Measurements) -> list[_Column]:
    held = {metric for metrics in measurements.saes.values() for metric in metrics}
    return [column for column in _COLUMNS if column.metric in held]


def _over_all(saes: Iterable[dict[str, Measurement]], column: _Column, word: str) -> str:
    found = [metrics.get(column.metric) for metrics in saes]
    values = [one.value for one in found if one is not None and one.value is not None]
    if not values:
        return "-"
    chosen = {"lowest": min(values), "highest": max(values)}
    return _number(chosen.get(word, statistics.median_low(values)), column.form)


def _cell(measurement: Measurement | None, form: str) -> str:
    if measurement is None or measurement.value is None:
        return "-"
    return _number(measurement.value, form)


def _number(value: float, form: str) -> str:
    return "0" if value == 0 else form.format(value)
