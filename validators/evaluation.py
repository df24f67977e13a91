"""What one SAE does on the activations of its condition, by SAELens' path and by ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from validators.activations import Vectors
from validators.metrics.pca_baseline import pca_explained_variance
from validators.metrics.reconstruction import ReconstructionSums
from validators.metrics.sparsity import LatentCounts
from validators.metrics.thresholds import threshold_moved_fraction
from validators.metrics.undefined import UndefinedMetric
from validators.report import Measurement

if TYPE_CHECKING:
    from validators.manual_sae import ManualSae
    from validators.subjects import SaeSubject

BATCH = 512


@dataclass(frozen=True)
class PathAgreement:
    """How far SAELens' path and the manual path are apart, over n held-out vectors.

    Attributes:
        n: vectors compared.
        reconstruction: largest |x_hat_saelens - x_hat_manual| over the largest |x_hat_manual|.
        latents: the same of the latents.
        n_active_differ: (vector, latent) pairs that are active on one path only.
        is_finite: both reconstructions and both sets of latents are finite.
    """

    n: int
    reconstruction: float
    latents: float
    n_active_differ: int
    is_finite: bool


@dataclass(frozen=True)
class Evaluation:
    """Everything that the checks and the report say about one SAE's behaviour."""

    agreement: PathAgreement
    held_out: LatentCounts
    train: LatentCounts
    measurements: dict[str, Measurement]


def evaluate(sae: SaeSubject) -> Evaluation:
    """Run an SAE over its condition's held-out and training vectors.

    The numbers are those of SAELens' path, the one that users take.

    Raises:
        NoEvidence: there are no activations.
        UnknownToManualPath: the manual path has no formula for the config.
    """
    evidence, condition = sae.parent.evidence, sae.claimed.condition
    hook_name = sae.metadata["hf_hook_name"]
    held_out = evidence.vectors(hook_name, condition, train=False)
    train = evidence.vectors(hook_name, condition, train=True)
    agreement = compare_paths(sae.saelens, sae.manual, held_out)
    held_sums, held_counts = _run(sae.saelens, held_out)
    train_sums, train_counts = _run(sae.saelens, train)

    def held(compute: Callable[[], float], unit: str = "") -> Measurement:
        return measured(compute, n=len(held_out), split="held_out", unit=unit)

    def trained(compute: Callable[[], float]) -> Measurement:
        return measured(compute, n=len(train), split="train")

    return Evaluation(
        agreement=agreement,
        held_out=held_counts,
        train=train_counts,
        measurements={
            "explained_variance": held(held_sums.explained_variance),
            "explained_variance_train": trained(train_sums.explained_variance),
            "l0": held(held_counts.l0, "latents per vector"),
            "mse": held(held_sums.mse, "squared activation"),
            "dead_fraction": held(held_counts.dead_fraction),
            "dead_fraction_train": trained(train_counts.dead_fraction),
            "path_difference": held(lambda: _finite_difference(agreement)),
            "pca_8_explained_variance": held(lambda: pca_explained_variance(train, held_out)),
            "threshold_moved_fraction": trained(lambda: _thresholds_moved(sae, train_counts)),
        },
    )


def compare_paths(saelens: Any, manual: ManualSae, vectors: Vectors) -> PathAgreement:
    """Run both paths over the same vectors [n, d_in]."""
    import torch

    largest = {"x_hat": 0.0, "latents": 0.0}
    difference = {"x_hat": 0.0, "latents": 0.0}
    n_active_differ, is_finite = 0, True
    with torch.inference_mode():
        for start in range(0, len(vectors), BATCH):
            x = torch.from_numpy(vectors[start : start + BATCH])
            f_saelens, f_manual = _dense(saelens.encode(x)), manual.encode(x)
            n_active_differ += int(((f_saelens != 0) != (f_manual != 0)).sum())
            for name, theirs, ours in (
                ("latents", f_saelens, f_manual),
                ("x_hat", saelens.decode(f_saelens), manual.decode(f_manual)),
            ):
                is_finite &= bool(theirs.isfinite().all()) and bool(ours.isfinite().all())
                largest[name] = max(largest[name], float(ours.abs().max()))
                difference[name] = max(difference[name], float((theirs - ours).abs().max()))
    return PathAgreement(
        n=len(vectors),
        reconstruction=_relative(difference["x_hat"], largest["x_hat"]),
        latents=_relative(difference["latents"], largest["latents"]),
        n_active_differ=n_active_differ,
        is_finite=is_finite,
    )


def measured(
    compute: Callable[[], float],
    *,
    n: int,
    split: Literal["held_out", "train"],
    unit: str = "",
) -> Measurement:
    """A measurement; where the metric is undefined, without a value and with the reason."""
    try:
        value = compute()
    except UndefinedMetric as error:
        return Measurement(value=None, n=n, split=split, unit=unit, reason=error.what)
    return Measurement(value=value, n=n, split=split, unit=unit)


def _run(saelens: Any, vectors: Vectors) -> tuple[ReconstructionSums, LatentCounts]:
    import torch

    sums, counts = ReconstructionSums(), LatentCounts(int(saelens.cfg.d_sae))
    with torch.inference_mode():
        for start in range(0, len(vectors), BATCH):
            x = vectors[start : start + BATCH]
            latents = _dense(saelens.encode(torch.from_numpy(x)))
            sums.add(x, saelens.decode(latents).numpy())
            counts.add(latents.numpy())
    return sums, counts


def _dense(latents: Any) -> Any:
    return latents.to_dense() if latents.is_sparse else latents


def _relative(difference: float, largest: float) -> float:
    """`difference / largest`; where nothing is active on our path, the difference itself."""
    return difference / largest if largest > 0 else difference


def _finite_difference(agreement: PathAgreement) -> float:
    if agreement.n == 0:
        raise UndefinedMetric("there are no activation vectors")
    if not agreement.is_finite:
        raise UndefinedMetric("a reconstruction or a latent is not finite")
    return agreement.reconstruction


def _thresholds_moved(sae: SaeSubject, counts: LatentCounts) -> float:
    if sae.architecture != "jumprelu":
        raise UndefinedMetric("only JumpReLU has thresholds")
    init = sae.threshold_init
    if init is None:
        raise UndefinedMetric("training.json states no threshold_init for it")
    threshold = sae.tensors["threshold"].float().numpy()
    return threshold_moved_fraction(np.asarray(threshold), counts.fired, init)
