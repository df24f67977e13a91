"""How far apart the two classes lie in each latent: Cohen's d, the largest of them, and chance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.conventions import LARGE_D
from validators.metrics.label_permutations import (
    N_PERMUTATIONS,
    Exchangeable,
    exchangeable,
    permuted_labels,
)
from validators.metrics.undefined import UndefinedMetric

Floats = NDArray[np.floating[Any]]

MIN_PER_CLASS = 2
# Below this many labellings no p-value can be under 0.05.
MIN_ARRANGEMENTS = 20

# A variance within the classes below this share of the whole is rounding.
_ROUNDING = 1e-12
# The given labels, when they are drawn, give the given d up to rounding.
_TIE = 1 - 1e-9
_BLOCK_BYTES = 32_000_000


@dataclass(frozen=True)
class Chance:
    """The largest |d| when labels mean nothing.

    Attributes:
        low: 2.5% of the permutations lie below.
        median: half of them do.
        high: 97.5% do.
        p_value: `(1 + permutations with at least the measured |d|) / (1 + n_permutations)`.
        mean_n_large: how many latents have |d| > 1, on average over the permutations.
        high_95: 95% lie below; any latent beyond it is above chance at 5% for the whole SAE.
        exchanged: what was permuted.
    """

    low: float
    median: float
    high: float
    p_value: float
    mean_n_large: float
    high_95: float
    n_permutations: int
    exchanged: Exchangeable


@dataclass(frozen=True)
class LargestEffect:
    """The latent in which the classes lie furthest apart.

    Attributes:
        latent: its number; the lowest one where several have the same |d|.
        d: its Cohen's d, positive where the positive class has the larger mean.
        n_latents: latents that have a d, from which it was chosen.
        n_large: those with |d| > 1.
        n_separating: latents left out although they differ between the classes, since they do not
            vary within either: their d is infinite.
        n_above_chance: latents with |d| beyond `chance.high_95`.
        chance: what the largest |d| is with permuted labels.
    """

    latent: int
    d: float
    n_positive: int
    n_negative: int
    n_latents: int
    n_large: int
    n_separating: int
    n_above_chance: int
    chance: Chance

    @property
    def d_max(self) -> float:
        """The largest |d|."""
        return abs(self.d)


def cohens_d(latents: Floats, y: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Difference of the class means in units of the pooled standard deviation, [d_sae].

    d = (mean_1 - mean_0) / s, s^2 = (SS_1 + SS_0) / (n_1 + n_0 - 2), where SS is the sum of
    squares about the class's own mean: the sample variances with n - 1, weighted by it. Sums are
    kept in float64. NaN where s is 0, as for dead latents.

    Args:
        latents: [n, d_sae], finite.
        y: [n], True for class 1.

    Raises:
        UndefinedMetric: a class has fewer than 2 vectors, or a latent is not finite.

    Source: Cohen 1988, "Statistical Power Analysis for the Behavioral Sciences", 2.5.1.
    """
    n_positive, n_negative = _class_sizes(latents, y)
    d = np.full(latents.shape[1], np.nan)
    for columns in _column_blocks(latents, _varying(latents)):
        wide = latents[:, columns].astype(np.float64)
        wide -= wide.mean(axis=0)
        whole = np.square(wide).sum(axis=0)
        means = wide[y].mean(axis=0), wide[~y].mean(axis=0)
        wide[y] -= means[0]
        wide[~y] -= means[1]
        within = np.square(wide).sum(axis=0)
        is_defined = within > _ROUNDING * whole
        pooled = np.sqrt(within[is_defined] / (n_positive + n_negative - 2))
        d[columns[is_defined]] = (means[0] - means[1])[is_defined] / pooled
    return d


def largest_effect(
    latents: Floats,
    y: NDArray[np.bool_],
    groups: NDArray[np.int64],
    *,
    seed: int,
    n_permutations: int = N_PERMUTATIONS,
) -> LargestEffect:
    """The latent with the largest |d|, and how large that is by chance.

    A maximum over thousands of latents is large whatever the labels are, so the number means
    nothing without its chance: the same maximum under `n_permutations` permuted labellings.

    Args:
        latents: [n, d_sae].
        y: labels [n].
        groups: [n], as `permuted_labels` takes them.
        seed: of the permutations.
        n_permutations: how many.

    Raises:
        UndefinedMetric: a class has fewer than 2 vectors, a latent is not finite, no latent varies
            within a class, or the groups leave fewer than 20 labellings.
    """
    d = cohens_d(latents, y)
    size = np.abs(d)
    if np.isnan(size).all():
        raise UndefinedMetric("no latent varies within a class, so none has a Cohen's d")
    latent = int(np.nanargmax(size))
    null, mean_n_large = _null(latents, y, groups, seed=seed, n_permutations=n_permutations)
    low, median, high_95, high = np.quantile(null, (0.025, 0.5, 0.95, 0.975))
    exceeding = int((null >= size[latent] * _TIE).sum()) + n_permutations - len(null)
    return LargestEffect(
        latent=latent,
        d=float(d[latent]),
        n_positive=int(y.sum()),
        n_negative=int((~y).sum()),
        n_latents=int((~np.isnan(d)).sum()),
        n_large=int((size > LARGE_D).sum()),
        n_separating=int(np.isnan(d[_varying(latents)]).sum()),
        n_above_chance=int((size > high_95).sum()),
        chance=Chance(
            low=float(low),
            median=float(median),
            high=float(high),
            p_value=(1 + exceeding) / (1 + n_permutations),
            mean_n_large=mean_n_large,
            high_95=float(high_95),
            n_permutations=n_permutations,
            exchanged=exchangeable(y, groups),
        ),
    )


def effect_of_chosen(
    latents: Floats,
    y: NDArray[np.bool_],
    groups: NDArray[np.int64],
    *,
    latent: int,
    seed: int,
    n_permutations: int = N_PERMUTATIONS,
) -> LargestEffect:
    """The effect of one latent that was chosen on other vectors, and its own chance.

    Chosen on the training vectors and measured on the held-out ones, it is free of selection, as a
    maximum never is. The sign of `d` says whether the direction held.

    Raises:
        UndefinedMetric: as `largest_effect`; the latent does not vary within a class.
    """
    try:
        found = largest_effect(
            latents[:, [latent]], y, groups, seed=seed, n_permutations=n_permutations
        )
    except UndefinedMetric as error:
        raise UndefinedMetric(error.what, where=f"latent {latent}") from error
    return LargestEffect(**{**vars(found), "latent": latent})


def permuted_d(
    latents: Floats, labels: NDArray[np.bool_]
) -> Iterator[tuple[slice, NDArray[np.int64], NDArray[np.float64]]]:
    """Cohen's d under many labellings, block by block: rows of `labels`, latents, and d of both.

    The variance of a latent over all vectors does not depend on the labels, so one product with
    the standardised latents gives all correlations r with the labels, and d follows from them:
    d = r / sqrt(1 - r^2) * sqrt((n - 2) (1 / n_1 + 1 / n_0)). Latents that do not vary are left
    out; d is NaN where it is undefined. Memory stays below 200 MB beside the arguments.

    Args:
        latents: [n, d_sae], finite.
        labels: [n_labellings, n].
    """
    n = len(latents)
    n_positive = labels.sum(axis=1)[:, None].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = 1 / n_positive + 1 / (n - n_positive)
    spread[np.minimum(n_positive, n - n_positive) < MIN_PER_CLASS] = np.nan
    for columns in _column_blocks(latents, _varying(latents)):
        wide = latents[:, columns].astype(np.float64)
        wide -= wide.mean(axis=0)
        wide /= np.sqrt(np.square(wide).sum(axis=0))
        at_once = max(1, _BLOCK_BYTES // (8 * max(n, len(columns))))
        for start in range(0, len(labels), at_once):
            rows = slice(start, min(start + at_once, len(labels)))
            r = labels[rows].astype(np.float64) @ wide
            r *= np.sqrt(spread[rows])
            rest = 1 - np.square(r)
            rest[rest <= _ROUNDING] = np.nan
            yield rows, columns, r * np.sqrt((n - 2) * spread[rows] / rest)


def _null(
    latents: Floats,
    y: NDArray[np.bool_],
    groups: NDArray[np.int64],
    *,
    seed: int,
    n_permutations: int,
) -> tuple[NDArray[np.float64], float]:
    """Largest |d| of each permutation that has one, and the mean number of latents beyond 1."""
    n_arrangements = exchangeable(y, groups).n_arrangements
    if n_arrangements < MIN_ARRANGEMENTS:
        raise UndefinedMetric(
            f"the groups leave {n_arrangements} different labellings, too few to say what chance is"
        )
    labels = permuted_labels(y, groups, n_permutations, seed)
    largest = np.full(n_permutations, np.nan)
    n_large = 0
    for rows, _, d in permuted_d(latents, labels):
        size = np.abs(d, out=d)
        n_large += int((size > LARGE_D).sum())
        largest[rows] = np.fmax(largest[rows], np.fmax.reduce(size, axis=1))
    is_defined = ~np.isnan(largest)
    if not is_defined.any():
        raise UndefinedMetric("no permuted labelling leaves 2 vectors in each class")
    return largest[is_defined], n_large / int(is_defined.sum())


def _class_sizes(latents: Floats, y: NDArray[np.bool_]) -> tuple[int, int]:
    assert y.dtype == np.bool_, "labels are True and False"
    assert latents.shape[:1] == y.shape, "one label for each vector"
    n_positive = int(y.sum())
    n_negative = len(y) - n_positive
    if min(n_positive, n_negative) < MIN_PER_CLASS:
        raise UndefinedMetric(
            f"Cohen's d needs {MIN_PER_CLASS} vectors of each class; "
            f"there are {n_positive} positive and {n_negative} negative"
        )
    # Both ends of each column, so that no array of the size of `latents` is made.
    if not (np.isfinite(latents.min(axis=0)).all() and np.isfinite(latents.max(axis=0)).all()):
        raise UndefinedMetric("a latent is not finite")
    return n_positive, n_negative


def _varying(latents: Floats) -> NDArray[np.int64]:
    """Latents that do not have the same value on all vectors."""
    return np.flatnonzero(latents.max(axis=0) > latents.min(axis=0))


def _column_blocks(latents: Floats, columns: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The columns in pieces that are small in float64."""
    at_once = max(1, _BLOCK_BYTES // (8 * len(latents)))
    for start in range(0, len(columns), at_once):
        yield columns[start : start + at_once]
