"""How sure a difference of explained variances is: a paired bootstrap over groups of vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.undefined import UndefinedMetric

Floats = NDArray[np.floating[Any]]

N_DRAWS = 1_000
MIN_GROUPS = 5
_SEED = 0


@dataclass(frozen=True)
class Difference:
    """A difference with its bootstrap interval.

    Attributes:
        value: second minus first.
        low: lower end of the interval.
        high: upper end.
    """

    value: float
    low: float
    high: float


def squared_errors(x: Floats, x_hat: Floats) -> Floats:
    """[n] squared error of each reconstruction, in float64."""
    return np.asarray(((x.astype(np.float64) - x_hat) ** 2).sum(axis=1))


def squares_about_mean(x: Floats) -> Floats:
    """[n] squared distance of each vector from the mean of all, in float64."""
    wide = x.astype(np.float64)
    return np.asarray(((wide - wide.mean(axis=0)) ** 2).sum(axis=1))


def explained_variance_difference(
    first: tuple[Floats, Floats],
    second: tuple[Floats, Floats],
    groups: NDArray[np.int64],
    *,
    confidence: float = 0.99,
) -> Difference:
    """Explained variance of the second minus that of the first, with a percentile interval.

    Whole groups are drawn with replacement, since vectors of one document or one scenario are
    alike; with fewer than `MIN_GROUPS` groups single vectors are drawn instead. Both sides are
    drawn together. The draws are the same in every run.

    Args:
        first: squared errors [n] and squares about the mean [n], row by row those of `second`.
        second: the same for what it is compared with.
        groups: [n] the group of each vector.
        confidence: share of the draws that the interval covers.

    Raises:
        UndefinedMetric: too few vectors, no variance, or an error that is not finite.

    Source: Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.
    """
    _, index = np.unique(groups, return_inverse=True)
    n_groups = int(index.max()) + 1 if len(index) else 0
    if n_groups < MIN_GROUPS:
        index, n_groups = np.arange(len(groups)), len(groups)
    if n_groups < MIN_GROUPS:
        raise UndefinedMetric(f"a bootstrap needs at least {MIN_GROUPS} vectors")
    sums = np.stack(
        [np.bincount(index, weights=values, minlength=n_groups) for values in (*first, *second)]
    )
    if not np.isfinite(sums).all():
        raise UndefinedMetric("a reconstruction is not finite")
    if sums[1].sum() == 0 or sums[3].sum() == 0:
        raise UndefinedMetric("all activation vectors are equal, so there is no variance")
    draws = np.random.default_rng(_SEED).multinomial(
        n_groups, np.full(n_groups, 1 / n_groups), size=N_DRAWS
    )
    drawn = draws @ sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        differences = drawn[:, 0] / drawn[:, 1] - drawn[:, 2] / drawn[:, 3]
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(differences, (tail, 1 - tail))
    value = sums[0].sum() / sums[1].sum() - sums[2].sum() / sums[3].sum()
    return Difference(float(value), float(low), float(high))
