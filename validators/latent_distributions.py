"""What a report says of all latents of an SAE at once: how often they fire, their thresholds."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from validators.distributions import Bins, Distributions, FiringDensity, ThresholdSpread
from validators.metrics.latent_bins import BinnedLatents, firing_density, threshold_bins
from validators.metrics.sparsity import LatentCounts
from validators.metrics.undefined import UndefinedMetric
from validators.saelens.format import JUMPRELU

if TYPE_CHECKING:
    from validators.subjects import SaeSubject


def distributions_of(
    sae: SaeSubject, *, held_out: LatentCounts, train: LatentCounts | None
) -> Distributions:
    """The distributions of one SAE.

    Args:
        sae: whose thresholds.
        held_out: how often its latents fired on held-out vectors.
        train: the same of the training vectors; None where those are not known.

    Raises:
        ReleaseError: training.json is damaged.
    """
    return Distributions(firing_density=_density(held_out), thresholds=_thresholds(sae, train))


def _density(counts: LatentCounts) -> FiringDensity | None:
    try:
        binned = firing_density(counts.fired, counts.n)
    except UndefinedMetric:
        # `l0` says why.
        return None
    return FiringDensity(n=counts.n, split="held_out", shares=_bins(binned))


def _thresholds(sae: SaeSubject, train: LatentCounts | None) -> ThresholdSpread | None:
    if sae.architecture not in JUMPRELU or sae.trained_only_as is not None:
        return None
    threshold, before = np.asarray(sae.tensors["threshold"]), sae.threshold_init
    alive = threshold if train is None else threshold[train.fired > 0]
    try:
        binned = threshold_bins(alive, before)
    except UndefinedMetric:
        # `threshold_moved_fraction` says why.
        return None
    return ThresholdSpread(
        latents="all" if train is None else "alive",
        n_left_out=len(threshold) - len(alive),
        before=before,
        after=_bins(binned),
        n_not_above_zero=int((alive <= 0).sum()),
    )


def _bins(binned: BinnedLatents) -> Bins:
    return Bins(**dataclasses.asdict(binned))
