"""Everything about one SAE, for the panel that an address of the SAE opens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cards import numbers
from release.report_page.cells import NOT_MEASURED, form_of, interval_of, written
from release.report_page.findings import anchor_of_finding, text_of
from release.report_page.origins import Fact
from release.report_page.rows import SaeRow, SaeTable
from release.report_page.sources import PageSource
from validators.report import Measurement

_SPLITS = {"held_out": "held out", "train": "training"}


@dataclass(frozen=True)
class Number:
    """One measurement: `range` is its interval or spread; `basis` what it rests on."""

    name: str
    value: str
    range: str
    basis: str
    reason: str


@dataclass(frozen=True)
class OwnFinding:
    """What one check found on this SAE; `anchor` is where the page explains it."""

    kind: str
    code: str
    found: str
    anchor: str


@dataclass(frozen=True)
class Detail:
    """One SAE: facts of the manifest and the record, measurements, verdicts, findings."""

    row: SaeRow
    facts: tuple[Fact, ...]
    measured: tuple[Number, ...]
    of_labels: tuple[Number, ...]
    verdicts: tuple[tuple[str, str], ...]
    findings: tuple[OwnFinding, ...]


def details_of(source: PageSource, table: SaeTable) -> tuple[Detail, ...]:
    """One for each row of the table, in its order."""
    report = source.report
    measurements = report.measurements if report else None
    tables = report.tables if report else None
    details = []
    for row in table.rows:
        measured = measurements.saes.get(row.sae_id, {}) if measurements else {}
        own = tables.saes.get(row.sae_id) if tables else None
        details.append(
            Detail(
                row=row,
                facts=tuple(_facts(source, row)),
                measured=tuple(_numbers(measured)),
                of_labels=tuple(_numbers(own.metrics if own else {})),
                verdicts=tuple((own.verdicts if own else {}).items()),
                findings=tuple(
                    OwnFinding(o.outcome, o.code, text_of(o), anchor_of_finding(o.outcome, o.code))
                    for o in row.outcomes
                    if o.outcome != "skipped" or o.required
                ),
            )
        )
    return tuple(details)


def _facts(source: PageSource, row: SaeRow) -> Iterator[Fact]:
    spec = row.spec
    if spec is not None:
        yield Fact("Reads", spec.hook_name, is_code=True)
        yield Fact("in transformers", spec.hf_hook_name, is_code=True)
        yield Fact("d_in", f"{spec.d_in:,}")
        yield Fact("d_sae", f"{spec.d_sae:,}")
    trained = source.training.saes.get(row.sae_id) if source.training else None
    if trained is not None:
        yield Fact("Training vectors", f"{trained.n_train:,}")
        yield Fact("Epochs", f"{trained.epochs:,}")
        yield Fact("Seed", str(trained.seed), is_code=True)
        yield Fact("Training time", str(numbers.duration(trained.seconds)))
    for name, digest in sorted(_files(source, row.sae_id).items()):
        yield Fact(name, digest, is_code=True)


def _files(source: PageSource, sae_id: str) -> Mapping[str, str]:
    """SHA-256 of the SAE's files, as the report has them."""
    report = source.report
    section = (report.measurements or report.checks) if report else None
    inputs = section.inputs if section else {}
    beginning = f"{sae_id}/"
    return {
        path.removeprefix(beginning): digest
        for path, digest in inputs.items()
        if path.startswith(beginning)
    }


def _numbers(metrics: Mapping[str, Measurement]) -> Iterator[Number]:
    for name, found in metrics.items():
        split = _SPLITS.get(found.split or "")
        basis = f"{found.n:,} {split}" if split else f"{found.n:,}"
        spread = "" if found.spread is None else f"± {form_of(name)(found.spread)}"
        p_value = "" if found.p_value is None else f"p {_p(found.p_value)}"
        yield Number(
            name=name,
            value=NOT_MEASURED if found.value is None else written(name, found.value),
            range=", ".join(filter(None, (interval_of(name, found), spread, p_value))),
            basis=basis,
            reason=found.reason or "",
        )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
