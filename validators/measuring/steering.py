"""Text that the base model writes while the labels' direction, as an SAE decodes it, is added."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.data import Sampling
from manifests.progress import Progress
from validators.base_models.steering_sweep import AlphaCounts, SteeringResult, measure_steering
from validators.evaluation import BATCH
from validators.evidence.activations import Vectors
from validators.evidence.completions import CompletionEvidence
from validators.evidence.evidence import NoEvidence
from validators.manual.path_agreement import run_saelens
from validators.measuring.kept_results import KeptResults, Result
from validators.measuring.labelled import (
    Labelled,
    OwnerMeans,
    mean_by_owner,
    ordinary_vectors,
)
from validators.measuring.saes import MeasuredSae
from validators.measuring.settings import Settings
from validators.metrics.directions import (
    direction_cosine,
    mean_difference,
    random_direction,
    typical_length,
    unit,
)
from validators.metrics.rates import rate
from validators.metrics.undefined import UndefinedMetric
from validators.report import Measurement, SteeringPoint, SteeringTable
from validators.subjects import RepositorySubject, SaeSubject


def steering_tables(
    subject: RepositorySubject,
    evidence: CompletionEvidence,
    rows: Labelled,
    measured: Mapping[str, MeasuredSae],
    settings: Settings,
    kept: KeptResults,
    progress: Progress,
) -> tuple[SteeringTable, ...]:
    """A sweep over alpha for each SAE that the manifest's `measure.steering` names.

    The direction is the difference of the labels' mean reconstructions on the training vectors.
    A second sweep goes along a random direction, since any direction does something.

    Raises:
        NoEvidence: the manifest has no scenarios whose prompts could be continued.
    """
    asked, sampling = settings.measure.steering, settings.manifest.data.sampling
    if asked is None:
        return ()
    if sampling is None:
        raise NoEvidence(
            "there are no prompts to continue",
            where="measure.steering",
            expected="data.sampling with its scenarios",
            next_step="leave measure.steering out, or state data.sampling",
        )
    tables = []
    for sae in subject.saes:
        found = measured.get(sae.sae_id)
        is_asked = any(fnmatchcase(sae.sae_id, glob) for glob in asked.saes)
        if found is None or not is_asked:
            continue
        depends_on = {
            **settings.shared(),
            "rows": rows.digest,
            "files": settings.digests_of(sae.sae_id),
            "steering": asked.model_dump(mode="json", exclude={"saes"}),
        }

        def make(sae: SaeSubject = sae) -> Result:
            table = _table(evidence, sae, rows, sampling, settings, progress)
            sae.release_memory()
            return Result(table.model_dump_json(), {})

        result = kept.get(depends_on, make)
        tables.append(SteeringTable.model_validate_json(result.text))
    return tuple(tables)


def _table(
    evidence: CompletionEvidence,
    sae: SaeSubject,
    rows: Labelled,
    sampling: Sampling,
    settings: Settings,
    progress: Progress,
) -> SteeringTable:
    asked = settings.measure.steering
    assert asked is not None
    is_train = ~rows.is_held_out
    vectors, owners = ordinary_vectors(evidence, sae, rows.rows)
    x = mean_by_owner(vectors, owners, len(rows))[is_train]
    x_hat = _reconstructed(sae, vectors, owners, len(rows))[is_train]
    y = rows.y[is_train]
    unmeasured: dict[str, Any] = {"n": len(y), "split": "train", "unit": ""}
    try:
        direction, scale = mean_difference(x_hat, y), typical_length(x)
        unit(direction)
    except UndefinedMetric as error:
        none = Measurement(value=None, reason=error.what, **unmeasured)
        return SteeringTable(
            sae_id=sae.sae_id,
            scale=none,
            cosine_with_mean_difference=none,
            trend=none,
            random_trend=none,
            points=(),
        )
    along, at_random = (
        measure_steering(
            evidence.base,
            sae.place,
            one,
            scale,
            sampling.scenarios,
            sampling,
            alphas=asked.alphas,
            n_per_scenario=asked.per_scenario,
            seed=settings.measure.seed,
            progress=progress,
        )
        for one in (direction, random_direction(x.shape[1], settings.measure.seed))
    )
    return SteeringTable(
        sae_id=sae.sae_id,
        scale=Measurement(value=scale, n=len(y), split="train", unit="activation"),
        cosine_with_mean_difference=_cosine(direction, x, y),
        trend=_trend(along, settings),
        random_trend=_trend(at_random, settings),
        points=tuple(_point(counts, settings) for counts in along.counts),
    )


def _reconstructed(
    sae: SaeSubject, vectors: Vectors, owners: NDArray[np.int64], n_owners: int
) -> Vectors:
    """Mean reconstruction [n_owners, d_in] of each completion's vectors."""
    means = OwnerMeans(owners, n_owners)
    for start in range(0, len(vectors), BATCH):
        batch = vectors[start : start + BATCH]
        means.add(run_saelens(sae.saelens, batch, sae.manual.decodes_latents_alone)[1])
    return means.means()


def _cosine(direction: NDArray[np.float64], x: Vectors, y: NDArray[np.bool_]) -> Measurement:
    try:
        value = direction_cosine(direction, x, y)
    except UndefinedMetric as error:
        return Measurement(value=None, n=len(y), split="train", reason=error.what)
    return Measurement(value=value, n=len(y), split="train")


def _trend(swept: SteeringResult, settings: Settings) -> Measurement:
    n = sum(counts.n for counts in swept.counts)
    of = f"share {settings.measure.positive} per alpha"
    try:
        trend = swept.trend()
    except UndefinedMetric as error:
        return Measurement(value=None, n=n, unit=of, reason=error.what)
    sign = 1 if settings.measure.positive == "deceptive" else -1
    return Measurement(value=sign * trend.slope, n=trend.n_labelled, unit=of, p_value=trend.p_value)


def _point(counts: AlphaCounts, settings: Settings) -> SteeringPoint:
    labels = {
        "deceptive": counts.n_deceptive,
        "honest": counts.n_honest,
        "ambiguous": counts.n_ambiguous,
        "empty": counts.n_empty,
    }
    positive, negative = settings.measure.positive, settings.measure.negative
    n = labels[positive] + labels[negative]
    try:
        found = rate(labels[positive], n)
    except UndefinedMetric as error:
        measured = Measurement(value=None, n=n, unit="completions", reason=error.what)
    else:
        measured = Measurement(value=found.value, n=n, low=found.low, high=found.high)
    return SteeringPoint(alpha=counts.alpha, n=counts.n, labels=labels, positive_rate=measured)
