"""What was measured of a collection's members, counted: SAEs of different kinds have no mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cards import numbers
from cards.collection.sources import CollectionSources
from cards.escaping import Markdown
from cards.sections.detection import BEATS_LAYER, BEATS_PEAK, metric_of
from cards.sections.metrics import EXPLAINED_VARIANCE, PCA_EXPLAINED_VARIANCE, measurement
from cards.sections.reported_facts import reported_value
from cards.sections.table_cells import SIGNIFICANCE, is_found
from cards.sources import Sources
from manifests.facts import Reported
from validators.metrics.conventions import PCA_RANK
from validators.report import Measurement, Tables


@dataclass(frozen=True)
class ReconstructionRow:
    """The SAEs of one repository and condition; `n` is of the held-out vectors."""

    repo_id: str
    condition: str
    n: Markdown
    n_saes: Markdown
    n_measured: Markdown
    n_compared: Markdown
    n_above_pca: Markdown


@dataclass(frozen=True)
class DetectionRow:
    """The SAEs of one repository whose probes were compared with probes on raw activations.

    `n` is of the labelled completions, on which the probes were cross-validated.
    """

    repo_id: str
    n: Markdown
    n_compared_with_layer: Markdown
    n_above_layer: Markdown
    n_compared_with_peak: Markdown
    n_above_peak: Markdown


@dataclass(frozen=True)
class StandIn:
    """Something else than what a manifest names, on which its SAEs were trained."""

    repo_id: str
    what: str
    stated: str | None
    used: str


@dataclass(frozen=True)
class ReportedComparison:
    """How many SAEs are said to beat the raw activations; None where the source does not say."""

    repo_id: str
    name: str
    value: Markdown
    n: Markdown | None
    split: str | None
    source: str


@dataclass(frozen=True)
class Measured:
    """All that was measured or reported of how the members' SAEs do."""

    reconstruction: tuple[ReconstructionRow, ...]
    detection: tuple[DetectionRow, ...]
    stand_ins: tuple[StandIn, ...]
    reported: tuple[ReportedComparison, ...]
    not_measured: tuple[str, ...]
    pca_rank: int
    significance: Markdown


def measured(sources: CollectionSources) -> Measured:
    """Count over the report of each member that has one, in the collection's order.

    Raises:
        MissingMetric: a report lacks a number that is counted.
    """
    built = [member.built for member in sources.members if member.built and member.is_measured]
    return Measured(
        reconstruction=tuple(row for each in built for row in _reconstruction(each)),
        detection=tuple(_detection(each, each.tables) for each in built if each.tables),
        stand_ins=tuple(stand_in for each in built for stand_in in _stand_ins(each)),
        reported=tuple(
            _reported(member.counted.repo_id, fact)
            for member in sources.members
            if member.counted.loaded
            for fact in member.counted.loaded.manifest.reported
            if fact.metric == "saes_beating_raw_baseline"
        ),
        not_measured=tuple(
            member.counted.repo_id for member in sources.members if not member.is_measured
        ),
        pca_rank=PCA_RANK,
        significance=numbers.setting(SIGNIFICANCE),
    )


def _reconstruction(sources: Sources) -> Iterator[ReconstructionRow]:
    manifest, specs = sources.loaded.manifest, sources.loaded.saes
    used = {spec.condition for spec in specs}
    for condition in (name for name in manifest.data.conditions if name in used):
        pairs = [
            (
                measurement(sources.report, spec.sae_id, EXPLAINED_VARIANCE),
                measurement(sources.report, spec.sae_id, PCA_EXPLAINED_VARIANCE),
            )
            for spec in specs
            if spec.condition == condition
        ]
        explained = [own for own, _ in pairs]
        above = [
            own.value > by_pca.value
            for own, by_pca in pairs
            if own.value is not None and by_pca.value is not None
        ]
        yield ReconstructionRow(
            repo_id=manifest.repo_id,
            condition=condition,
            n=_sample(explained),
            n_saes=numbers.count(len(pairs)),
            n_measured=numbers.count(sum(own.value is not None for own in explained)),
            n_compared=numbers.count(len(above)),
            n_above_pca=numbers.count(sum(above)),
        )


def _detection(sources: Sources, tables: Tables) -> DetectionRow:
    ids = [spec.sae_id for spec in sources.loaded.saes]
    layer = [metric_of(tables, sae_id, BEATS_LAYER) for sae_id in ids]
    peak = [metric_of(tables, sae_id, BEATS_PEAK) for sae_id in ids]
    return DetectionRow(
        repo_id=sources.loaded.manifest.repo_id,
        n=_sample(layer),
        n_compared_with_layer=_counted(layer, lambda found: found is not None),
        n_above_layer=_counted(layer, lambda found: found is True),
        n_compared_with_peak=_counted(peak, lambda found: found is not None),
        n_above_peak=_counted(peak, lambda found: found is True),
    )


def _counted(found: Iterable[Measurement], fits: Callable[[bool | None], bool]) -> Markdown:
    return numbers.count(sum(fits(is_found(each)) for each in found))


def _sample(found: Iterable[Measurement]) -> Markdown:
    """The n that measurements share, or the smallest and the largest of them."""
    sizes = sorted({each.n for each in found})
    ends = dict.fromkeys((sizes[0], sizes[-1]))
    return Markdown(" to ".join(numbers.count(n) for n in ends))


def _stand_ins(sources: Sources) -> Iterator[StandIn]:
    substituted = sources.training.substituted if sources.training else None
    if substituted is None:
        return
    for what, part in (("base model", substituted.base_model), ("data", substituted.data)):
        if part is not None:
            yield StandIn(sources.loaded.manifest.repo_id, what, part.stated, part.used)


def _reported(repo_id: str, fact: Reported) -> ReportedComparison:
    return ReportedComparison(
        repo_id=repo_id,
        name=fact.name,
        value=reported_value(fact),
        n=None if fact.n is None else numbers.count(fact.n),
        split=fact.split,
        source=fact.source,
    )
