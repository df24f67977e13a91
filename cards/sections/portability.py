"""The card's section on other precisions of the base model, where the report has one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cards import numbers
from cards.escaping import Markdown, code_span, markdown_text
from cards.sections.architectures import facts_of
from cards.sections.metrics import CONFIDENCE, Metric, one_of
from cards.sections.portability_numbers import (
    LABELS,
    LOSSES,
    RECONSTRUCTION,
    PortabilityTable,
    Subject,
    required,
    table_of,
)
from cards.sections.portability_sources import MADE_BY
from cards.sections.portability_verdicts import (
    VERDICTS,
    VerdictCount,
    VerdictRow,
    hardness,
    verdict_counts,
    verdicts_of,
)
from cards.sections.retrained_elsewhere import TrainTest, train_test
from cards.sections.table_cells import plain
from cards.sources import Sources
from manifests.portability import PortabilityLimits
from validators.report import LoadedPrecision, Portability, RegimeVerdict

# Above this number of SAEs times precisions, rows are of kinds and layers, and of the worst SAEs.
MAX_ROWS = 60


def _whole(value: float) -> Markdown:
    return numbers.count(round(value))


def _bytes(value: float) -> Markdown:
    return Markdown(f"{value / 1e6:,.1f} MB" if value >= 1e5 else f"{value / 1e3:,.1f} kB")


BITS = Metric("bits_per_parameter", None, lambda value: Markdown(f"{value:.2f}"))
BITS_QUANTISED = Metric("bits_per_quantised_parameter", None, BITS.written)
BYTES = Metric("weights_bytes", None, _bytes)
LARGEST = Metric("largest_activation", "held_out", numbers.significant)
OF_FP16 = Metric("share_of_fp16_range", "held_out", numbers.share)
NOT_FINITE = Metric("vectors_not_finite", "held_out", _whole)


@dataclass(frozen=True)
class LoadedRow:
    """The base model at one precision: its size, and how large its activations are."""

    precision: str
    is_own: bool
    bits: Markdown
    bits_quantised: Markdown
    size: Markdown
    largest: Markdown
    of_fp16: Markdown
    not_finite: Markdown


@dataclass(frozen=True)
class Regime:
    """A setting that was not run, or cannot be, and why."""

    regime: str
    sentence: str


@dataclass(frozen=True)
class Limits:
    """What decides a verdict, as the manifest has it."""

    drop: Markdown
    alive: Markdown
    overlap: Markdown


@dataclass(frozen=True)
class PortabilityFacts:
    """Everything on the card about other precisions.

    With `is_summary`, rows are of all SAEs of one kind and layer, and `worst` has single ones;
    else they are of single SAEs and `worst` is None.
    """

    trained_at: str
    precisions: tuple[str, ...]
    limits: Limits
    confidence: Markdown
    loaded: tuple[LoadedRow, ...]
    verdict_names: tuple[str, ...]
    counts: tuple[VerdictCount, ...]
    verdicts: tuple[VerdictRow, ...]
    is_summary: bool
    reconstruction: PortabilityTable
    labels: PortabilityTable
    losses: PortabilityTable | None
    worst: PortabilityTable | None
    worst_sentences: tuple[tuple[str, str, str], ...]
    not_run: tuple[Regime, ...]
    unlike_claims: tuple[str, ...]
    n_claims: int
    train_test: TrainTest | None
    environment: tuple[tuple[str, str], ...]


def portability_facts(sources: Sources) -> PortabilityFacts | None:
    """The facts; None where the report has no such section.

    Raises:
        MissingMetric: the section lacks a number that the card prints.
    """
    found = sources.portability
    if found is None:
        return None
    measured = sources.measurements.environment if sources.has_measurements else {}
    others = tuple(
        label
        for label, each in found.precisions.items()
        if label != found.trained_at and each.refused is None
    )
    is_summary = len(found.saes) * max(len(others), 1) > MAX_ROWS
    groups = [*_groups(sources)] if is_summary else _single(sources)
    shown = others if is_summary else (found.trained_at, *others)
    subjects = [
        subject for name, sae_ids in groups for subject in _subjects(found, name, sae_ids, shown)
    ]
    worst = _worst(found, others) if is_summary else ()
    manifest = sources.loaded.manifest
    return PortabilityFacts(
        trained_at=found.trained_at,
        precisions=others,
        limits=_limits(manifest.portability.limits),
        confidence=CONFIDENCE,
        loaded=tuple(
            _loaded(label, each, is_own=label == found.trained_at)
            for label, each in found.precisions.items()
            if each.refused is None
        ),
        verdict_names=VERDICTS,
        counts=tuple(
            verdict_counts(label, (shifts[label] for shifts in found.saes.values()))
            for label in others
        ),
        verdicts=tuple(
            VerdictRow(
                name,
                tuple(verdicts_of([found.saes[one][at] for one in sae_ids]) for at in others),
            )
            for name, sae_ids in groups
        ),
        is_summary=is_summary,
        reconstruction=required(RECONSTRUCTION, subjects),
        labels=required(LABELS, subjects),
        losses=table_of(LOSSES, subjects),
        worst=required(RECONSTRUCTION, worst) if worst else None,
        worst_sentences=tuple(
            (subject.sae_ids[0], subject.precision, subject.shifts[0].verdict.sentence)
            for subject in worst
        ),
        not_run=tuple(_not_run(found)),
        unlike_claims=tuple(one.sentence for one in found.claimed if not one.holds),
        n_claims=len(found.claimed),
        train_test=train_test(found.retrained, max_rows=MAX_ROWS),
        environment=tuple(
            (name, value)
            for name, value in sorted(found.environment.items())
            if value.strip() and measured.get(name) != value
        ),
    )


def _single(sources: Sources) -> list[tuple[Markdown, tuple[str, ...]]]:
    """Every SAE by itself, in the manifest's order."""
    return [(code_span(spec.sae_id), (spec.sae_id,)) for spec in sources.loaded.saes]


def _groups(sources: Sources) -> Iterator[tuple[Markdown, tuple[str, ...]]]:
    """The SAEs of one layer and kind together, in the manifest's order."""
    members: dict[tuple[int, str], list[str]] = {}
    for spec in sources.loaded.saes:
        label = facts_of(sources.loaded.manifest, spec).label
        members.setdefault((spec.layer, label), []).append(spec.sae_id)
    for (layer, label), sae_ids in members.items():
        n_saes = numbers.counted(len(sae_ids), "SAE")
        yield Markdown(f"layer {layer}, {markdown_text(label)} ({n_saes})"), tuple(sae_ids)


def _subjects(
    found: Portability, name: Markdown, sae_ids: tuple[str, ...], labels: Sequence[str]
) -> Iterator[Subject]:
    for label in labels:
        shifts = tuple(found.saes[sae_id][label] for sae_id in sae_ids)
        yield Subject(name, label, label == found.trained_at, sae_ids, shifts)


def _worst(found: Portability, labels: Sequence[str]) -> tuple[Subject, ...]:
    """For each precision the SAE that fares worst; the first by name among equals."""
    chosen = [
        (max(sorted(found.saes), key=lambda sae_id: hardness(found.saes[sae_id][label])), label)
        for label in labels
    ]
    return tuple(
        subject
        for sae_id, label in chosen
        for subject in _subjects(found, code_span(sae_id), (sae_id,), (label,))
    )


def _loaded(label: str, loaded: LoadedPrecision, *, is_own: bool) -> LoadedRow:
    def cell(metric: Metric) -> Markdown:
        whose = f"the base model at {label}"
        return plain(one_of(loaded.metrics, metric, whose=whose, made_by=MADE_BY), metric.written)

    return LoadedRow(
        precision=label,
        is_own=is_own,
        bits=cell(BITS),
        bits_quantised=cell(BITS_QUANTISED),
        size=cell(BYTES),
        largest=cell(LARGEST),
        of_fp16=cell(OF_FP16),
        not_finite=cell(NOT_FINITE),
    )


def _not_run(found: Portability) -> Iterator[Regime]:
    for label, loaded in found.precisions.items():
        if loaded.refused is not None:
            yield Regime(label, f"not measured: {loaded.refused}")
    for verdict in found.elsewhere:
        yield _regime(verdict)


def _regime(verdict: RegimeVerdict) -> Regime:
    return Regime(verdict.regime, verdict.sentence)


def _limits(limits: PortabilityLimits) -> Limits:
    return Limits(
        drop=numbers.share(limits.max_explained_variance_drop),
        alive=numbers.share(limits.max_alive_shift),
        overlap=numbers.setting(limits.min_overlap),
    )
