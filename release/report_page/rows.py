"""The table of SAEs: one row for each that the manifest names or the report speaks of."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from cards import numbers
from cards.sections.architectures import ARCHITECTURES, facts_of, thresholds_of
from manifests.matrix import SaeSpec
from manifests.model import Manifest
from release.report_page.cells import Cell, Reasons, metric_cell, written
from release.report_page.configs import StatedSae
from release.report_page.sources import PageSource
from validators.presenting.tally import Tally, tally
from validators.report import Measurement, Outcome, Tables

NO_REPORT = "there is no report: nothing was checked or measured here"
NO_MEASUREMENTS = "the report has no measurements: the checks went no further than loading"
NO_TABLES = "the report has no tables: `release measure` computes the probes"
NOT_STATED = "not stated"
_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


@dataclass(frozen=True)
class SaeRow:
    """One SAE.

    Attributes:
        anchor: what an address names it by, after `#`.
        architecture: as the card calls what was trained.
        layer: None where no source states it.
        hook_name: where it reads, in either notation; empty where no source states it.
        d_sae: its number of latents; None where no source states it.
        tally: of the checks that were asked of this SAE; None: none were.
        outcomes: those that did not pass, in the report's order.
        spec: what the manifest says of it; None where no manifest names it.
    """

    sae_id: str
    anchor: str
    architecture: str
    layer: int | None
    hook_name: str
    d_sae: int | None
    condition: str
    variant: str
    explained_variance: Cell
    l0: Cell
    dead: Cell
    thresholds: Cell
    probe: Cell
    difference: Cell
    tally: Tally | None
    outcomes: tuple[Outcome, ...]
    spec: SaeSpec | None

    @property
    def variant_name(self) -> str:
        """The recipe's variant; the recipe itself has no name of its own."""
        return self.variant or "plain"

    @property
    def state(self) -> str:
        """The gravest outcome of its checks; `not checked` where none was asked."""
        if self.tally is None or not (self.tally.asked or self.tally.gaps):
            return "not checked"
        if self.tally.failed:
            return "failed"
        if self.tally.gaps:
            return "skipped"
        return "warned" if self.tally.warned else "accepted" if self.tally.accepted else "passed"


@dataclass(frozen=True)
class SaeTable:
    """All rows, and the reasons that their cells point at by number, from 1 on."""

    rows: tuple[SaeRow, ...]
    reasons: tuple[str, ...]

    def distinct(self, field: str) -> tuple[str, ...]:
        """The values of a column, for a filter: layers as numbers, all else as text."""
        values = {getattr(row, field) for row in self.rows}
        return tuple(
            str(value) for value in sorted(values, key=_in_order) if value not in (None, "")
        )


def sae_table(source: PageSource) -> SaeTable:
    """The SAEs in the manifest's order, then those that only a config or the report names."""
    reasons = Reasons()
    specs = source.claim.saes if source.claim else {}
    by_sae: dict[str, list[Outcome]] = {}
    if source.report is not None and source.report.checks is not None:
        for outcome in source.report.checks.outcomes:
            if outcome.subject:
                by_sae.setdefault(outcome.subject, []).append(outcome)
    ids = dict.fromkeys([*specs, *source.stated, *_measured_ids(source), *by_sae])
    rows = tuple(
        _row(source, sae_id, specs.get(sae_id), by_sae.get(sae_id, []), reasons) for sae_id in ids
    )
    return SaeTable(rows, tuple(reasons.texts))


def anchor_of(sae_id: str) -> str:
    """The SAE's name in an address; an id that no folder of ours could have gets a digest's."""
    if _PLAIN_ID.fullmatch(sae_id):
        return f"sae-{sae_id}"
    return f"sae-{hashlib.sha256(sae_id.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _measured_ids(source: PageSource) -> Iterator[str]:
    report = source.report
    if report is not None and report.measurements is not None:
        yield from report.measurements.saes
    if report is not None and report.tables is not None:
        yield from report.tables.saes


def _row(
    source: PageSource,
    sae_id: str,
    spec: SaeSpec | None,
    outcomes: list[Outcome],
    reasons: Reasons,
) -> SaeRow:
    measured, absent = _measured(source, sae_id)
    stated = source.stated.get(sae_id) or StatedSae()

    def cell(name: str) -> Cell:
        return metric_cell(measured, name, absent=absent, reasons=reasons)

    return SaeRow(
        sae_id=sae_id,
        anchor=anchor_of(sae_id),
        architecture=ARCHITECTURES[spec.architecture].label if spec else _saved_as(stated),
        layer=spec.layer if spec else stated.layer,
        hook_name=spec.hook_name if spec else stated.hook_name,
        d_sae=spec.d_sae if spec else stated.d_sae,
        condition=spec.condition if spec else NOT_STATED,
        variant=spec.variant if spec else "",
        explained_variance=cell("explained_variance"),
        l0=cell("l0"),
        dead=cell("dead_fraction"),
        thresholds=_thresholds(
            source.claim.manifest if source.claim else None,
            spec,
            cell,
        ),
        probe=_probe(source, sae_id, spec.layer if spec else stated.layer, reasons),
        difference=cell("path_difference"),
        tally=tally(outcomes) if outcomes else None,
        outcomes=tuple(o for o in outcomes if o.outcome != "passed"),
        spec=spec,
    )


def _measured(source: PageSource, sae_id: str) -> tuple[Mapping[str, Measurement] | None, str]:
    """What was measured of an SAE; None, and why, where nothing was."""
    if source.report is None:
        return None, NO_REPORT
    if source.report.measurements is None:
        return None, NO_MEASUREMENTS
    found = source.report.measurements.saes.get(sae_id)
    return found, "the report names no measurement of this SAE"


def _thresholds(
    manifest: Manifest | None, spec: SaeSpec | None, cell: Callable[[str], Cell]
) -> Cell:
    """Where thresholds come from, and of learned ones how many training moved."""
    if manifest is None or spec is None:
        return _moved(cell)
    origin = thresholds_of(manifest, spec)
    if origin is None:
        return Cell("none")
    if facts_of(manifest, spec).is_relu:
        return Cell("fixed at 0", 0.0, ("a ReLU",))
    return Cell("one for all latents") if origin == "one_for_all" else _moved(cell)


def _moved(cell: Callable[[str], Cell]) -> Cell:
    found = cell("threshold_moved_fraction")
    return replace(found, text=f"{found.text} moved") if found.value is not None else found


def _probe(source: PageSource, sae_id: str, layer: int | None, reasons: Reasons) -> Cell:
    """Balanced accuracy on the latents; beside it the raw layer's, and what chance gives."""
    if source.report is None:
        return reasons.missing(NO_REPORT)
    tables = source.report.tables
    if tables is None:
        return reasons.missing(NO_TABLES)
    own = tables.saes[sae_id].metrics if sae_id in tables.saes else None
    found = metric_cell(
        own,
        "probe_balanced_accuracy",
        absent="the tables do not name this SAE",
        reasons=reasons,
    )
    if found.value is None or own is None:
        return found
    spread = own["probe_balanced_accuracy"].spread
    own_spread = "" if spread is None else f" ± {numbers.fraction(spread)}"
    return replace(
        found,
        text=f"{found.text}{own_spread}",
        beside=tuple(_held_against(tables, own, layer)),
    )


def _held_against(
    tables: Tables, own: Mapping[str, Measurement], layer: int | None
) -> Iterator[str]:
    name = "probe_balanced_accuracy"
    raw = tables.layers.get(str(layer), {}).get(name)
    if raw is not None and raw.value is not None:
        yield f"raw {written(name, raw.value)}"
    else:
        yield "raw not measured"
    chance = own.get("probe_chance")
    if chance is None or chance.value is None:
        yield "chance not measured"
    elif chance.low is None or chance.high is None:
        yield f"chance {written(name, chance.value)}"
    else:
        yield f"chance {numbers.interval(chance.low, chance.high, numbers.fraction)}"


def _saved_as(stated: StatedSae) -> str:
    """By its file alone: what it is saved as, which need not be what was trained."""
    known = {str(name): facts.label for name, facts in ARCHITECTURES.items()}
    name = stated.architecture
    return NOT_STATED if name is None else known.get(name, name)


def _in_order(value: object) -> tuple[float, str]:
    return (float(value), "") if isinstance(value, int) else (0.0, str(value))
