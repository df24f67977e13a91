"""What `release.api` returns: typed results that show as tables in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, StrictUndefined

from validators.presenting.closing import closing_sentence
from validators.presenting.findings import WORDS, Finding, findings, headline
from validators.presenting.present import report_text
from validators.presenting.printable import name_of, one_line, printable
from validators.presenting.tables import measurement_legend, measurement_table
from validators.presenting.tables_text import (
    PROBE_HEADER,
    PROBE_LEGEND,
    labelled_completions,
    probe_rows,
    tables_text,
)
from validators.presenting.tally import tally
from validators.report import Measurement, Outcome, OutcomeKind, Report, Tables

_TEXT_WIDTH = 100
_SHOWN_SAES = 3
# The worst first: a notebook is read from the top.
_KINDS: tuple[OutcomeKind, ...] = ("failed", "crashed", "accepted", "warned", "noted")
_FINDINGS = ("check", "", "on", "found", "expected", "what to do")
_GAPS = ("skipped", "on", "why")
# Everything is escaped by the engine, since ids and texts come from files of others.
_PAGE = Environment(autoescape=True, undefined=StrictUndefined).from_string("""\
<div>
{%- if heading %}<p><strong>{{ heading }}</strong></p>{% endif %}
{%- for table in tables %}
<table>
<thead><tr>{% for cell in table.header %}<th scope="col">{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>
{%- for row in table.rows %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{%- endfor %}
</tbody>
</table>
{%- for line in table.legend %}
<p><small>{{ line }}</small></p>
{%- endfor %}
{%- endfor %}
</div>
""")


@dataclass(frozen=True)
class _Table:
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    legend: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Validation:
    """What the checks found in one repository.

    Attributes:
        target: what was asked for, as it was written.
        report: everything: each outcome, each measurement, and the digests of what was looked at.
    """

    target: str
    report: Report = field(repr=False)

    @property
    def passed(self) -> bool:
        """Whether no check failed, none that was required was skipped, and any was asked."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """What `release validate` would exit with: 0 good, 1 failed, 3 not all could be checked."""
        return self.report.checks.exit_code if self.report.checks else 3

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Each check on each SAE, and on the repository (`subject` is empty there)."""
        return self.report.checks.outcomes if self.report.checks else ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is to be read: failures first, then what is accepted, warned of and noted.

        One finding holds all SAEs on which a check ended in the same way.
        """
        return tuple(found for kind in _KINDS for found in findings(self.outcomes, kind))

    @property
    def skipped(self) -> tuple[Outcome, ...]:
        """The required checks that could not be asked; `found` says why."""
        return tuple(o for o in self.outcomes if o.outcome == "skipped" and o.required)

    def rows(self) -> list[dict[str, str | int | float | None]]:
        """One row an SAE, as `pandas.DataFrame` takes it.

        `sae_id`, the numbers of checks that `passed`, `warned`, `failed`, were `accepted` or
        `skipped`, and each metric under its name in docs/terms.md; None where it is not measured.
        """
        measured = self.report.measurements.saes if self.report.measurements else {}
        metrics = dict.fromkeys(name for own in measured.values() for name in own)
        by_sae: dict[str, list[Outcome]] = {sae_id: [] for sae_id in measured}
        for outcome in self.outcomes:
            if outcome.subject:
                by_sae.setdefault(outcome.subject, []).append(outcome)
        rows: list[dict[str, str | int | float | None]] = []
        for sae_id, outcomes in by_sae.items():
            n = tally(outcomes)
            counts = {
                "passed": n.passed,
                "warned": n.warned,
                "failed": n.failed,
                "accepted": n.accepted,
                "skipped": n.gaps,
            }
            own = measured.get(sae_id, {})
            values = {name: own[name].value if name in own else None for name in metrics}
            rows.append({"sae_id": sae_id, **counts, **values})
        return rows

    def __str__(self) -> str:
        """The report as `release validate` prints it."""
        return report_text(self.report, width=_TEXT_WIDTH, next_command="use it")

    def _repr_html_(self) -> str:
        tables = []
        if found := self.findings:
            tables.append(_Table(_FINDINGS, [_finding_row(one) for one in found]))
        if self.skipped:
            gaps = [(o.code, _subject(o.subject), one_line(o.found)) for o in self.skipped]
            tables.append(_Table(_GAPS, gaps))
        if self.report.measurements is not None:
            measurements = self.report.measurements
            header, rows = measurement_table(measurements)
            tables.append(_Table(header, rows, measurement_legend(measurements)))
        sentence = closing_sentence(self.report, next_command="use it")
        return _PAGE.render(heading=f"{printable(self.target)}: {sentence}", tables=tables)


@dataclass(frozen=True)
class Measured:
    """The tables that were computed for a release: probes, effect sizes, stability, steering.

    Attributes:
        target: what was asked for, as it was written.
        report: the whole report; its section `tables` is what was computed.
        n_made: how many parts were computed anew; the rest was kept from before.
    """

    target: str
    report: Report = field(repr=False)
    n_made: int

    @property
    def tables(self) -> Tables:
        """The computed tables."""
        assert self.report.tables is not None
        return self.report.tables

    def rows(self) -> list[dict[str, str | float | None]]:
        """One row an SAE, as `pandas.DataFrame` takes it: `sae_id`, then each metric's value."""
        saes = self.tables.saes
        metrics = dict.fromkeys(name for own in saes.values() for name in own.metrics)
        return [
            {"sae_id": sae_id, **{name: _value(own.metrics.get(name)) for name in metrics}}
            for sae_id, own in saes.items()
        ]

    def __str__(self) -> str:
        """The tables as `release measure` prints them."""
        return tables_text(self.tables, width=_TEXT_WIDTH)

    def _repr_html_(self) -> str:
        table = _Table(PROBE_HEADER, probe_rows(self.tables), (PROBE_LEGEND,))
        heading = f"{printable(self.target)}: {labelled_completions(self.tables)}"
        return _PAGE.render(heading=heading, tables=[table])


def _value(measurement: Measurement | None) -> float | None:
    return None if measurement is None else measurement.value


def _finding_row(finding: Finding) -> tuple[str, ...]:
    first = finding.first
    return (
        finding.code,
        WORDS[finding.kind],
        _subjects(finding.subjects),
        one_line(headline(first)),
        one_line(first.expected),
        one_line(first.next_step),
    )


def _subject(subject: str) -> str:
    return name_of(subject) if subject else "the repository"


def _subjects(subjects: Iterable[str]) -> str:
    every = list(subjects)
    if not every:
        return "the repository"
    named = ", ".join(name_of(subject) for subject in every[:_SHOWN_SAES])
    more = len(every) - _SHOWN_SAES
    return f"{named} and {more} more" if more > 0 else named
