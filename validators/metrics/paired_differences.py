"""Two SAEs on the same vectors: how far apart they are, and how sure that is.

All of it is computed from a few numbers for each vector, so that an SAE need not be run again for
every other one that it is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from validators.metrics.bootstrap import (
    Floats,
    n_groups_of,
    ratio_interval,
    squared_errors,
    squares_about_mean,
)
from validators.metrics.conventions import L0_TOLERANCE
from validators.metrics.reconstruction import cosines
from validators.metrics.undefined import UndefinedMetric


@dataclass(frozen=True)
class PerVector:
    """What one SAE makes of each of n vectors.

    Attributes:
        squared_error: [n] `||x - x_hat||^2`.
        squares_about_mean: [n] `||x - mean(x)||^2`, about the mean of the n vectors.
        l0: [n] number of active latents.
        cosine: [n] cosine of x and x_hat; NaN where one of them is 0.
    """

    squared_error: Floats
    squares_about_mean: Floats
    l0: NDArray[np.int64]
    cosine: Floats

    @property
    def n(self) -> int:
        """Number of vectors."""
        return len(self.l0)


@dataclass(frozen=True)
class PairedDifference:
    """A difference of two SAEs, second minus first, with its 95% bootstrap interval.

    Attributes:
        value: of all n vectors.
        low: lower end of the interval.
        high: upper end.
        n: vectors that count on both sides.
        n_groups: groups that these vectors are of; fewer than `bootstrap.MIN_GROUPS` cannot be
            drawn, so single vectors were, and the interval says nothing of other groups.
    """

    value: float
    low: float
    high: float
    n: int
    n_groups: int

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


def per_vector(x: Floats, x_hat: Floats, latents: Floats) -> PerVector:
    """What is kept of an SAE's run.

    Args:
        x: [n, d_in] all vectors that SAEs will be compared on.
        x_hat: [n, d_in] their reconstructions.
        latents: [n, d_sae] their latents.
    """
    assert x.shape == x_hat.shape, "one reconstruction for each vector"
    assert len(x) == len(latents), "latents of each vector"
    return PerVector(
        squared_error=squared_errors(x, x_hat),
        squares_about_mean=squares_about_mean(x),
        l0=np.count_nonzero(latents, axis=1).astype(np.int64),
        cosine=cosines(x, x_hat),
    )


def difference_in_explained_variance(
    first: PerVector, second: PerVector, groups: NDArray[np.int64]
) -> PairedDifference:
    """Explained variance of the second minus that of the first.

    `(sum error_first - sum error_second) / sum ||x - mean(x)||^2`; groups are drawn as in
    `bootstrap.ratio_interval`, both SAEs together.

    Args:
        first: one SAE on the vectors.
        second: the other one on the same vectors, row by row.
        groups: [n] the group of each vector.

    Raises:
        UndefinedMetric: too few vectors, no variance, or a reconstruction is not finite.
    """
    _check_same_vectors(first, second, groups)
    gained = first.squared_error - second.squared_error
    if not np.isfinite(gained).all():
        raise UndefinedMetric("a reconstruction is not finite")
    if first.n and not first.squares_about_mean.any():
        raise UndefinedMetric("all activation vectors are equal, so there is no variance")
    return _difference(gained, first.squares_about_mean, groups)


def difference_in_l0(
    first: PerVector, second: PerVector, groups: NDArray[np.int64]
) -> PairedDifference:
    """Mean number of active latents of the second minus that of the first; arguments as above.

    Raises:
        UndefinedMetric: too few vectors.
    """
    _check_same_vectors(first, second, groups)
    return _difference((second.l0 - first.l0).astype(np.float64), np.ones(first.n), groups)


def difference_in_cosine(
    first: PerVector, second: PerVector, groups: NDArray[np.int64]
) -> PairedDifference:
    """Mean cosine of the second minus that of the first; arguments as above.

    Over the vectors of which both reconstructions have a direction; `n` says how many.

    Raises:
        UndefinedMetric: too few such vectors.
    """
    _check_same_vectors(first, second, groups)
    difference = second.cosine - first.cosine
    counted = ~np.isnan(difference)
    n_counted = int(counted.sum())
    return _difference(difference[counted], np.ones(n_counted), groups[counted])


def differs_in_l0(first: PerVector, second: PerVector) -> bool:
    """Whether the larger mean L0 is above the smaller by more than `L0_TOLERANCE` of the smaller.

    Then explained variances are not compared at equal sparsity: more active latents explain more.

    Raises:
        UndefinedMetric: there are no vectors.
    """
    if first.n == 0 or second.n == 0:
        raise UndefinedMetric("there are no activation vectors")
    small, large = sorted((float(first.l0.mean()), float(second.l0.mean())))
    return large > (1 + L0_TOLERANCE) * small


def _check_same_vectors(first: PerVector, second: PerVector, groups: NDArray[np.int64]) -> None:
    same = np.array_equal(first.squares_about_mean, second.squares_about_mean, equal_nan=True)
    assert same, "both SAEs were run on the same vectors"
    assert len(groups) == first.n, "a group for each vector"


def _difference(
    numerators: Floats, denominators: Floats, groups: NDArray[np.int64]
) -> PairedDifference:
    found = ratio_interval(numerators, denominators, groups)
    return PairedDifference(
        found.value, found.low, found.high, n=len(groups), n_groups=n_groups_of(groups)
    )
