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
    index, n_groups = _drawn_units(groups)
    sums = np.stack(
        [np.bincount(index, weights=values, minlength=n_groups) for values in (*first, *second)]
    )
    if not np.isfinite(sums).all():
        raise UndefinedMetric("a reconstruction is not finite")
    if sums[1].sum() == 0 or sums[3].sum() == 0:
        raise UndefinedMetric("all activation vectors are equal, so there is no variance")
    draws = _draws(n_groups)
    drawn = draws @ sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        differences = drawn[:, 0] / drawn[:, 1] - drawn[:, 2] / drawn[:, 3]
    value = sums[0].sum() / sums[1].sum() - sums[2].sum() / sums[3].sum()
    return _interval(float(value), differences, confidence)


def bias_share_difference(
    first: Floats, second: Floats, groups: NDArray[np.int64], *, confidence: float = 0.99
) -> Difference:
    """Bias share of the second errors minus that of the first, with a percentile interval.

    The bias share of error vectors e is `||mean(e)||^2 / mean ||e||^2`, the part of the squared
    error that one constant correction would take away. Drawn as in
    `explained_variance_difference`.

    Args:
        first: errors [n, d_in], row by row of the same vectors as `second`.
        second: errors [n, d_in].
        groups: [n] the group of each vector.
        confidence: share of the draws that the interval covers.

    Raises:
        UndefinedMetric: too few vectors, no error at all, or one that is not finite.
    """
    index, n_groups = _drawn_units(groups)
    draws = _draws(n_groups)
    n_drawn = draws @ np.bincount(index, minlength=n_groups)
    shares, values = [], []
    for errors in (first, second):
        wide = errors.astype(np.float64)
        squares = np.bincount(index, weights=(wide**2).sum(axis=1), minlength=n_groups)
        sums = np.zeros((n_groups, wide.shape[1]))
        np.add.at(sums, index, wide)
        if not np.isfinite(squares).all():
            raise UndefinedMetric("a reconstruction is not finite")
        if squares.sum() == 0:
            raise UndefinedMetric("there is no error")
        with np.errstate(divide="ignore", invalid="ignore"):
            shares.append(((draws @ sums) ** 2).sum(axis=1) / (n_drawn * (draws @ squares)))
        values.append(float((sums.sum(axis=0) ** 2).sum() / (len(wide) * squares.sum())))
    return _interval(values[1] - values[0], shares[1] - shares[0], confidence)


def _drawn_units(groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """What is drawn together [n], and how many such units there are."""
    _, index = np.unique(groups, return_inverse=True)
    n_groups = int(index.max()) + 1 if len(index) else 0
    if n_groups < MIN_GROUPS:
        index, n_groups = np.arange(len(groups)), len(groups)
    if n_groups < MIN_GROUPS:
        raise UndefinedMetric(f"a bootstrap needs at least {MIN_GROUPS} vectors")
    return index, n_groups


def _draws(n_groups: int) -> NDArray[np.int64]:
    """[draws, groups] how often each group is drawn."""
    generator = np.random.default_rng(_SEED)
    return generator.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=N_DRAWS)


def _interval(value: float, draws: Floats, confidence: float) -> Difference:
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(draws, (tail, 1 - tail))
    return Difference(value, float(low), float(high))
