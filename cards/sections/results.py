"""The card's measurements: one row for each SAE, and how they stand against rank-8 PCA."""

from __future__ import annotations

from dataclasses import dataclass

from cards import numbers
from cards.escaping import Markdown
from cards.sections.architectures import facts_of, thresholds_of
from cards.sections.metrics import (
    CONFIDENCE,
    DEAD_FRACTION,
    DEAD_FRACTION_TRAIN,
    EXPLAINED_VARIANCE,
    EXPLAINED_VARIANCE_TRAIN,
    L0,
    MSE,
    PATH_DIFFERENCE,
    PCA_EXPLAINED_VARIANCE,
    THRESHOLD_MOVED,
    Metric,
    measurement,
    written,
)
from cards.sources import Sources
from manifests.matrix import SaeSpec
from validators.metrics.conventions import MOVED_BY, PCA_RANK


@dataclass(frozen=True)
class ResultRow:
    """One SAE's measurements as printed; `n` is the number of held-out vectors they rest on.

    `is_relu`: it is a ReLU SAE in a JumpReLU file, and the table says so.
    """

    sae_id: str
    is_relu: bool
    n: Markdown
    explained_variance: Markdown
    pca_explained_variance: Markdown
    explained_variance_train: Markdown
    above_pca: bool | None
    l0: Markdown
    mse: Markdown
    dead: Markdown
    dead_train: Markdown
    path_difference: Markdown


@dataclass(frozen=True)
class ThresholdRow:
    """One JumpReLU SAE: its threshold before training, and the share of thresholds that moved."""

    sae_id: str
    threshold_init: Markdown
    moved: Markdown


@dataclass(frozen=True)
class Results:
    """All measurements of a repository in the manifest's order, and what they were made with.

    `interval_level` is empty where no explained variance has an interval.
    """

    rows: tuple[ResultRow, ...]
    thresholds: tuple[ThresholdRow, ...]
    interval_level: Markdown
    pca_rank: int
    threshold_moved_by: Markdown
    above_pca: tuple[str, ...]
    not_above_pca: tuple[str, ...]
    not_compared_with_pca: tuple[str, ...]
    relu: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]


def results(sources: Sources) -> Results | None:
    """Read every measurement that the card prints; None where nothing was measured.

    Raises:
        MissingMetric: the report lacks one of them.
    """
    if not sources.has_measurements:
        return None
    rows = tuple(_row(sources, spec) for spec in sources.loaded.saes)
    return Results(
        rows=rows,
        thresholds=tuple(
            _threshold_row(sources, spec)
            for spec in sources.loaded.saes
            if thresholds_of(sources.loaded.manifest, spec) == "learned"
        ),
        interval_level=_interval_level(sources),
        pca_rank=PCA_RANK,
        threshold_moved_by=numbers.share(MOVED_BY),
        above_pca=tuple(row.sae_id for row in rows if row.above_pca is True),
        not_above_pca=tuple(row.sae_id for row in rows if row.above_pca is False),
        not_compared_with_pca=tuple(row.sae_id for row in rows if row.above_pca is None),
        relu=tuple(row.sae_id for row in rows if row.is_relu),
        environment=tuple(
            (name, value)
            for name, value in sorted(sources.measurements.environment.items())
            if value
        ),
    )


def _interval_level(sources: Sources) -> Markdown:
    found = (
        measurement(sources.report, spec.sae_id, EXPLAINED_VARIANCE) for spec in sources.loaded.saes
    )
    return CONFIDENCE if any(each.low is not None for each in found) else Markdown("")


def _row(sources: Sources, spec: SaeSpec) -> ResultRow:
    explained = measurement(sources.report, spec.sae_id, EXPLAINED_VARIANCE)
    by_pca = measurement(sources.report, spec.sae_id, PCA_EXPLAINED_VARIANCE)
    n_train = _n_train(sources, spec)

    def cell(metric: Metric) -> Markdown:
        found = measurement(sources.report, spec.sae_id, metric)
        stated = n_train if metric.split == "train" else explained.n
        return written(metric, found, n_stated=stated)

    return ResultRow(
        sae_id=spec.sae_id,
        is_relu=facts_of(sources.loaded.manifest, spec).is_relu,
        n=numbers.count(explained.n),
        explained_variance=cell(EXPLAINED_VARIANCE),
        pca_explained_variance=cell(PCA_EXPLAINED_VARIANCE),
        explained_variance_train=cell(EXPLAINED_VARIANCE_TRAIN),
        above_pca=_is_above(explained.value, by_pca.value),
        l0=cell(L0),
        mse=cell(MSE),
        dead=cell(DEAD_FRACTION),
        dead_train=cell(DEAD_FRACTION_TRAIN),
        path_difference=cell(PATH_DIFFERENCE),
    )


def _n_train(sources: Sources, spec: SaeSpec) -> int | None:
    """Its training vectors by the record, else those of its condition's training split."""
    if sources.training is not None:
        return sources.training.saes[spec.sae_id].n_train
    return (sources.n_vectors(spec.condition) or {}).get("train")


def _is_above(explained_variance: float | None, baseline: float | None) -> bool | None:
    """Whether the SAE beats its baseline; None where one of the two was not measured."""
    if explained_variance is None or baseline is None:
        return None
    return explained_variance > baseline


def _threshold_row(sources: Sources, spec: SaeSpec) -> ThresholdRow:
    training = sources.training
    before = None if training is None else training.saes[spec.sae_id].threshold_init
    return ThresholdRow(
        sae_id=spec.sae_id,
        threshold_init=Markdown("not recorded") if before is None else numbers.significant(before),
        moved=written(THRESHOLD_MOVED, measurement(sources.report, spec.sae_id, THRESHOLD_MOVED)),
    )
