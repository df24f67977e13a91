"""How sure a number is, or a difference of two: a bootstrap over groups of vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.undefined import UndefinedMetric

Floats = NDArray[np.floating[Any]]

N_DRAWS = 1_000
MIN_GROUPS = 5
# More units than this are drawn as bundles of neighbours, which bounds time and memory.
MAX_UNITS = 2_000
# The tails of an interval for few groups lie far out, so it takes more draws than a comparison.
_N_INTERVAL_DRAWS = 2_000
_SEED = 0
_PART_ROWS = 4_096


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


@dataclass(frozen=True)
class Estimate:
    """A number with its bootstrap interval.

    Attributes:
        value: of all vectors.
        low: lower end of the interval.
        high: upper end.
    """

    value: float
    low: float
    high: float


def squared_errors(x: Floats, x_hat: Floats) -> Floats:
    """[n] squared error of each reconstruction, in float64."""
    rows = (((x[part].astype(np.float64) - x_hat[part]) ** 2).sum(axis=1) for part in parts(len(x)))
    return np.concatenate([*rows, np.zeros(0)])


def squares_about_mean(x: Floats) -> Floats:
    """[n] squared distance of each vector from the mean of all, in float64."""
    if len(x) == 0:
        return np.zeros(0)
    mean = x.mean(axis=0, dtype=np.float64)
    rows = (((x[part].astype(np.float64) - mean) ** 2).sum(axis=1) for part in parts(len(x)))
    return np.concatenate([*rows])


def parts(n: int) -> Iterator[slice]:
    """Slices of n rows, each small enough that a copy in float64 costs little memory."""
    for start in range(0, n, _PART_ROWS):
        yield slice(start, start + _PART_ROWS)


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


def ratio_interval(
    numerators: Floats,
    denominators: Floats,
    groups: NDArray[np.int64],
    *,
    confidence: float = 0.95,
) -> Estimate:
    """`sum(numerators) / sum(denominators)` over all vectors, with its bootstrap interval.

    Groups are drawn as in `explained_variance_difference`. The percentiles are expanded: with G
    groups the tails are `Phi(-sqrt(G / (G - 1)) t)`, where t is the quantile of Student's
    distribution with G - 1 degrees of freedom, so that an interval of few groups is not too short.

    Args:
        numerators: [n] one number of each vector; with denominators of 1 the ratio is their mean.
        denominators: [n], none negative.
        groups: [n] the group of each vector.
        confidence: how often such intervals are meant to cover the truth.

    Raises:
        UndefinedMetric: too few vectors, denominators of 0, or a number is not finite.

    Source: Hesterberg 2015, "What Teachers Should Know About the Bootstrap", The American
    Statistician 69(4), the expanded percentile interval; doi:10.1080/00031305.2015.1089789.
    """
    index, n_units = _drawn_units(groups)
    sums = np.stack(
        [
            np.bincount(index, weights=values, minlength=n_units)
            for values in (numerators, denominators)
        ]
    )
    if not np.isfinite(sums).all():
        raise UndefinedMetric("a number is not finite")
    if sums[1].sum() <= 0:
        raise UndefinedMetric("the denominators sum to 0")
    drawn = _draws(n_units, _N_INTERVAL_DRAWS) @ sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        # A draw may hold none of the groups that count.
        ratios = np.where(drawn[:, 1] > 0, drawn[:, 0] / drawn[:, 1], np.nan)
    tail = _expanded_tail(confidence, n_units)
    low, high = np.nanquantile(ratios, (tail, 1 - tail))
    return Estimate(float(sums[0].sum() / sums[1].sum()), float(low), float(high))


def explained_variance_interval(
    errors: Floats, squares: Floats, groups: NDArray[np.int64], *, confidence: float = 0.95
) -> Estimate:
    """Explained variance with its bootstrap interval; see `ratio_interval`.

    The mean about which the variance is taken stays that of all vectors in every draw. It is where
    the sum of squares is least, so moving it with the draw would change the result only in second
    order.

    Args:
        errors: [n] squared errors.
        squares: [n] squares about the mean.
        groups: [n] the group of each vector.
        confidence: how often such intervals are meant to cover the truth.

    Raises:
        UndefinedMetric: too few vectors, no variance, or a number is not finite.
    """
    unexplained = ratio_interval(errors, squares, groups, confidence=confidence)
    return Estimate(1 - unexplained.value, 1 - unexplained.high, 1 - unexplained.low)


def n_groups_of(groups: NDArray[np.int64]) -> int:
    """How many groups there are."""
    return len(np.unique(groups))


def _drawn_units(groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """What is drawn together [n], and how many such units there are."""
    _, index = np.unique(groups, return_inverse=True)
    n_units = int(index.max()) + 1 if len(index) else 0
    if n_units < MIN_GROUPS:
        index, n_units = np.arange(len(groups)), len(groups)
    if n_units < MIN_GROUPS:
        raise UndefinedMetric(f"a bootstrap needs at least {MIN_GROUPS} vectors")
    if n_units > MAX_UNITS:
        index, n_units = index * MAX_UNITS // n_units, MAX_UNITS
    return index, n_units


@lru_cache(maxsize=2)
def _draws(n_units: int, n_draws: int = N_DRAWS) -> NDArray[np.int64]:
    """[draws, units] how often each unit is drawn; read only, since it is shared."""
    generator = np.random.default_rng(_SEED)
    drawn = generator.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_draws)
    drawn.flags.writeable = False
    return drawn


def _expanded_tail(confidence: float, n_units: int) -> float:
    """The share of draws that is left out at each end of an expanded percentile interval."""
    from scipy.stats import norm, t

    quantile = t.ppf((1 + confidence) / 2, n_units - 1)
    return float(norm.cdf(-quantile * math.sqrt(n_units / (n_units - 1))))


def _interval(value: float, draws: Floats, confidence: float) -> Difference:
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(draws, (tail, 1 - tail))
    return Difference(value, float(low), float(high))
