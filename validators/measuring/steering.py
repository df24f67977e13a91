"""Text that the base model writes while a latent's decoded direction is added at its hook."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import numpy as np

from manifests.data import Sampling
from manifests.progress import Progress
from validators.base_models.steering_sweep import AlphaCounts, SteeringResult, measure_steering
from validators.evidence.activations import Vectors
from validators.evidence.completions import CompletionEvidence
from validators.evidence.evidence import NoEvidence
from validators.measuring.kept_results import KeptResults, Result
from validators.measuring.labelled import Labelled, mean_by_owner, ordinary_vectors
from validators.measuring.saes import MeasuredSae
from validators.measuring.settings import Settings
from validators.metrics.directions import direction_cosine, mean_difference
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

    The latent is the one with the largest |d| on the training vectors, the direction its row of
    the decoder; alpha = 1 adds as much as the classes' means are apart.

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
        if found is None or found.top_latent is None or not is_asked:
            continue
        latent = found.top_latent
        depends_on = {
            **settings.shared(),
            "rows": rows.digest,
            "files": settings.digests_of(sae.sae_id),
            "steering": asked.model_dump(mode="json", exclude={"saes"}),
            "latent": latent,
        }

        def make(sae: SaeSubject = sae, latent: int = latent) -> Result:
            table = _table(evidence, sae, latent, rows, sampling, settings, progress)
            sae.release_memory()
            return Result(table.model_dump_json(), {})

        result = kept.get(depends_on, make)
        tables.append(SteeringTable.model_validate_json(result.text))
    return tuple(tables)


def _table(
    evidence: CompletionEvidence,
    sae: SaeSubject,
    latent: int,
    rows: Labelled,
    sampling: Sampling,
    settings: Settings,
    progress: Progress,
) -> SteeringTable:
    asked = settings.measure.steering
    assert asked is not None
    vectors, owners = ordinary_vectors(evidence, sae, rows.rows)
    x: Vectors = mean_by_owner(vectors, owners, len(rows))[~rows.is_held_out]
    y = rows.y[~rows.is_held_out]
    direction = np.asarray(sae.tensors["W_dec"][latent], dtype=np.float64)
    scale = float(np.linalg.norm(mean_difference(x, y)))
    swept = measure_steering(
        evidence.base,
        sae.place,
        direction,
        scale,
        sampling.scenarios,
        sampling,
        alphas=asked.alphas,
        n_per_scenario=asked.per_scenario,
        seed=settings.measure.seed,
        progress=progress,
    )
    return SteeringTable(
        sae_id=sae.sae_id,
        latent=latent,
        scale=Measurement(value=scale, n=len(y), split="train", unit="activation"),
        cosine_with_mean_difference=_cosine(direction, x, y),
        trend=_trend(swept, settings),
        points=tuple(_point(counts, settings) for counts in swept.counts),
    )


def _cosine(direction: np.ndarray, x: Vectors, y: np.ndarray) -> Measurement:
    try:
        value = direction_cosine(direction, x, y)
    except UndefinedMetric as error:
        return Measurement(value=None, n=len(y), split="train", reason=error.what)
    return Measurement(value=value, n=len(y), split="train")


def _trend(swept: SteeringResult, settings: Settings) -> Measurement:
    n = sum(counts.n for counts in swept.counts)
    unit = f"share {settings.measure.positive} per alpha"
    try:
        trend = swept.trend()
    except UndefinedMetric as error:
        return Measurement(value=None, n=n, unit=unit, reason=error.what)
    sign = 1 if settings.measure.positive == "deceptive" else -1
    return Measurement(
        value=sign * trend.slope, n=trend.n_labelled, unit=unit, p_value=trend.p_value
    )


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
