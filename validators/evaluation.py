"""What one SAE does on the activations of its condition, by SAELens' path and by ours."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from validators.distributions import Distributions
from validators.evidence.activations import Vectors
from validators.evidence.evidence import OUTLIER_NORM
from validators.latent_distributions import distributions_of
from validators.manual.path_agreement import PathAgreement, compare_paths, run_saelens
from validators.metrics.bootstrap import Estimate, explained_variance_interval, squares_about_mean
from validators.metrics.pca_baseline import pca_explained_variance
from validators.metrics.reconstruction import ReconstructionSums
from validators.metrics.sparsity import LatentCounts
from validators.metrics.thresholds import threshold_moved_fraction
from validators.metrics.undefined import UndefinedMetric
from validators.report import Measurement
from validators.saelens.format import JUMPRELU

if TYPE_CHECKING:
    from validators.subjects import SaeSubject

BATCH = 512
L0_UNIT = "latents per vector"
MSE_UNIT = "squared activation"


@dataclass(frozen=True)
class Evaluation:
    """Everything that the checks and the report say about one SAE's behaviour.

    `train` is None where it is not known on which vectors the SAE was trained.
    """

    agreement: PathAgreement
    held_out: LatentCounts
    train: LatentCounts | None
    measurements: dict[str, Measurement]
    distributions: Distributions


def evaluate(sae: SaeSubject) -> Evaluation:
    """Run an SAE over the held-out vectors of its place, and those it was trained on if known.

    The numbers are those of SAELens' path, the one that users take.

    Raises:
        NoEvidence: there are no activations.
        UnknownToManualPath: the manual path has no formula for the config.
    """
    evidence = sae.parent.evidence
    sample = evidence.sample(sae, train=False)
    other = evidence.sample(sae, train=True)
    held_out, train = sample.vectors, other.vectors if evidence.knows_training else None
    held_sums, held_counts = ReconstructionSums(), LatentCounts(int(sae.saelens.cfg.d_sae))

    def seen(x: Vectors, latents: Vectors, x_hat: Vectors) -> None:
        held_sums.add(x, x_hat)
        held_counts.add(latents)

    agreement = compare_paths(sae.saelens, sae.manual, held_out, seen=seen)
    train_sums, train_counts = _run(sae, _none_of(held_out) if train is None else train)

    def held(
        compute: Callable[[], float],
        unit: str = "",
        *,
        n: int = len(held_out),
        interval: Callable[[], Estimate] | None = None,
    ) -> Measurement:
        return measured(compute, n=n, split="held_out", unit=unit, interval=interval)

    def trained(compute: Callable[[], float], unit: str = "") -> Measurement:
        n = 0 if train is None else len(train)
        return measured(_if_known(train, compute), n=n, split="train", unit=unit)

    def explained_variance_of_groups() -> Estimate:
        squares = squares_about_mean(held_out)
        return explained_variance_interval(held_sums.errors_each, squares, sample.groups)

    def apart(compute: Callable[[], float]) -> Measurement:
        return measured(compute, n=len(sample.outliers), split="held_out")

    return Evaluation(
        agreement=agreement,
        held_out=held_counts,
        train=train_counts if train is not None else None,
        distributions=distributions_of(
            sae, held_out=held_counts, train=None if train is None else train_counts
        ),
        measurements={
            "explained_variance": held(
                held_sums.explained_variance, interval=explained_variance_of_groups
            ),
            "explained_variance_train": trained(train_sums.explained_variance),
            "explained_variance_outliers": apart(lambda: _explained(sae, sample.outliers)),
            "l0": held(held_counts.l0, L0_UNIT),
            "l0_p5": held(lambda: held_counts.l0_quantile(0.05), L0_UNIT),
            "l0_median": held(lambda: held_counts.l0_quantile(0.5), L0_UNIT),
            "l0_p95": held(lambda: held_counts.l0_quantile(0.95), L0_UNIT),
            "l0_train": trained(train_counts.l0, L0_UNIT),
            "mse": held(held_sums.mse, MSE_UNIT),
            "mse_train": trained(train_sums.mse, MSE_UNIT),
            "cosine": held(held_sums.cosine, n=held_sums.n_cosines),
            "dead_fraction": held(held_counts.dead_fraction),
            "dead_fraction_train": trained(train_counts.dead_fraction),
            "dense_fraction": held(held_counts.dense_fraction),
            "path_difference": held(lambda: _finite_difference(agreement)),
            "pca_8_explained_variance": held(
                lambda: pca_explained_variance(other.vectors, held_out)
            ),
            "threshold_moved_fraction": trained(lambda: _thresholds_moved(sae, train_counts)),
        },
    )


def measured(
    compute: Callable[[], float],
    *,
    n: int,
    split: Literal["held_out", "train"],
    unit: str = "",
    interval: Callable[[], Estimate] | None = None,
) -> Measurement:
    """A measurement; where the metric is undefined, without a value and with the reason.

    Args:
        compute: the value.
        n: how many vectors it rests on.
        split: which ones.
        unit: of the value.
        interval: its 95% interval, left out where too few vectors are there for one.
    """
    try:
        value = compute()
    except UndefinedMetric as error:
        return Measurement(value=None, n=n, split=split, unit=unit, reason=error.what)
    low = high = None
    if interval is not None:
        with contextlib.suppress(UndefinedMetric):
            found = interval()
            low, high = found.low, found.high
    return Measurement(value=value, n=n, split=split, unit=unit, low=low, high=high)


def _run(sae: SaeSubject, vectors: Vectors) -> tuple[ReconstructionSums, LatentCounts]:
    sums, counts = ReconstructionSums(), LatentCounts(int(sae.saelens.cfg.d_sae))
    for start in range(0, len(vectors), BATCH):
        x = vectors[start : start + BATCH]
        latents, x_hat = run_saelens(sae.saelens, x, sae.manual.decodes_latents_alone)
        sums.add(x, x_hat)
        counts.add(latents)
    return sums, counts


def _none_of(vectors: Vectors) -> Vectors:
    return vectors[:0]


def _if_known(train: Vectors | None, compute: Callable[[], float]) -> Callable[[], float]:
    """The metric, undefined where it is not known what the SAE was trained on."""

    def unknown() -> float:
        raise UndefinedMetric("it is not known which vectors the SAE was trained on")

    return unknown if train is None else compute


def _explained(sae: SaeSubject, outliers: Vectors) -> float:
    """Explained variance of vectors with outlying norms, which are left out of all else."""
    if len(outliers) == 0:
        raise UndefinedMetric(f"no vector's norm is above {OUTLIER_NORM:g} times the median")
    return _run(sae, outliers)[0].explained_variance()


def _finite_difference(agreement: PathAgreement) -> float:
    if agreement.n == 0:
        raise UndefinedMetric("there are no activation vectors")
    if not agreement.is_finite:
        raise UndefinedMetric("a reconstruction or a latent is not finite")
    return agreement.reconstruction


def _thresholds_moved(sae: SaeSubject, counts: LatentCounts) -> float:
    if sae.architecture not in JUMPRELU:
        raise UndefinedMetric("only JumpReLU has thresholds")
    if sae.trained_only_as is not None:
        raise UndefinedMetric(
            f"the one threshold of a {sae.trained_only_as} SAE is an average, not a trained value"
        )
    init = sae.threshold_init
    if init == 0:
        raise UndefinedMetric("the thresholds began at 0, of which no share can be taken")
    if init is None:
        raise UndefinedMetric("training.json states no threshold_init for it")
    threshold = sae.tensors["threshold"]
    return threshold_moved_fraction(np.asarray(threshold), counts.fired, init)
