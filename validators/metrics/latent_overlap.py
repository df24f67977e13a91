"""Whether the same latents answer when the same vectors are read at two precisions.

Row i of both sides belongs to the same token. Explained variance can stay as it was while other
latents do the work; these numbers see that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.bootstrap import Estimate, ratio_interval
from validators.metrics.undefined import UndefinedMetric

Floats = NDArray[np.floating[Any]]

_LOW_QUANTILE = 0.05


@dataclass(frozen=True)
class Correlations:
    """Correlation of latents with themselves at the other precision.

    Attributes:
        median: over the latents that have one.
        low: their 5% quantile.
        n_latents: how many have one.
    """

    median: float
    low: float
    n_latents: int


class LatentOverlap:
    """Active sets and values of latents a and b [n, d_sae] of the same vectors, row by row.

    A latent is active where it is != 0. Sums about the mean are merged batch by batch in float64,
    so that the result does not depend on the batch size. Source: Chan, Golub, LeVeque 1983,
    "Algorithms for computing the sample variance", and its like for products.
    """

    def __init__(self, d_sae: int) -> None:
        self.n = 0
        self._is_finite = True
        self._fired = np.zeros((2, d_sae), np.int64)
        self._shared: list[NDArray[np.int64]] = []
        self._active: list[NDArray[np.int64]] = []
        self._mean = np.zeros((2, d_sae))
        self._squares = np.zeros((2, d_sae))
        self._products = np.zeros(d_sae)
        self._lowest = np.full((2, d_sae), np.inf)
        self._highest = np.full((2, d_sae), -np.inf)

    def add(self, a: Floats, b: Floats) -> None:
        """Count a batch; both [vectors, d_sae]."""
        assert a.shape == b.shape, "the same vectors at both precisions"
        if len(a) == 0:
            return
        active_a, active_b = a != 0, b != 0
        self._shared.append((active_a & active_b).sum(axis=1))
        self._active.append(np.stack([active_a.sum(axis=1), active_b.sum(axis=1)]))
        self._fired += np.stack([active_a.sum(axis=0), active_b.sum(axis=0)])
        # Most latents are idle on a whole batch, where mean and sums are 0 on both sides.
        columns = np.flatnonzero(active_a.any(axis=0) | active_b.any(axis=0))
        values = np.stack([a[:, columns], b[:, columns]]).astype(np.float64)
        if not np.isfinite(values).all():
            self._is_finite = False
        self._merge(columns, values)

    def _merge(self, columns: NDArray[np.int64], values: Floats) -> None:
        """Add values [2, vectors, columns] to the sums; all other columns are 0."""
        n_new, n_both = values.shape[1], self.n + values.shape[1]
        new_mean, low, high = (np.zeros_like(self._mean) for _ in range(3))
        low[:, columns], high[:, columns] = values.min(axis=1), values.max(axis=1)
        np.minimum(self._lowest, low, out=self._lowest)
        np.maximum(self._highest, high, out=self._highest)
        with np.errstate(invalid="ignore"):
            new_mean[:, columns] = values.mean(axis=1)
            about = values - new_mean[:, columns][:, None]
            self._squares[:, columns] += (about**2).sum(axis=1)
            self._products[columns] += (about[0] * about[1]).sum(axis=0)
            shift = new_mean - self._mean
            self._squares += shift**2 * (self.n * n_new / n_both)
            self._products += shift[0] * shift[1] * (self.n * n_new / n_both)
            self._mean += shift * (n_new / n_both)
        self.n = n_both

    @property
    def n_both_empty(self) -> int:
        """Vectors on which no latent is active on either side; no set is compared there."""
        return int((self._counts().max(axis=0) == 0).sum())

    def jaccard_of_vectors(self) -> Floats:
        """[n] `|A and B| / |A or B|` of the active sets; NaN where both are empty."""
        shared, counts = self._sets(), self._counts()
        return _share(shared, counts.sum(axis=0) - shared)

    def found_again_of_vectors(self) -> Floats:
        """[n] `|A and B| / max(|A|, |B|)`; NaN where both are empty.

        Where both sides have k active latents, the share of the k that are found again.
        """
        return _share(self._sets(), self._counts().max(axis=0))

    def identical_of_vectors(self) -> Floats:
        """[n] 1 where both sides have the same active latents, else 0; NaN where both are empty."""
        counts = self._counts()
        same = (self._sets() == counts[0]) & (counts[0] == counts[1])
        return np.where(counts.max(axis=0) == 0, np.nan, same.astype(np.float64))

    def jaccard(self) -> float:
        """Mean of `jaccard_of_vectors` over the vectors that have one.

        Raises:
            UndefinedMetric: no vectors, no active latents at all, or a latent is not finite.
        """
        return _mean_of_defined(self.jaccard_of_vectors())

    def found_again(self) -> float:
        """Mean of `found_again_of_vectors` over the vectors that have one.

        Raises:
            UndefinedMetric: as `jaccard`.
        """
        return _mean_of_defined(self.found_again_of_vectors())

    def identical_share(self) -> float:
        """Share of the vectors whose active latents are the same on both sides.

        Raises:
            UndefinedMetric: as `jaccard`.
        """
        return _mean_of_defined(self.identical_of_vectors())

    def correlations_of_latents(self) -> Floats:
        """[d_sae] Pearson correlation of each latent over the vectors.

        NaN where the latent does not vary on one of the sides; above all, where it is idle there.

        Raises:
            UndefinedMetric: no vectors, or a latent is not finite.
        """
        self._check()
        varies = ((self._lowest < self._highest) & (self._squares > 0)).all(axis=0)
        # Roots apart, since the product of two small sums of squares may be 0.
        scale = np.sqrt(self._squares[0]) * np.sqrt(self._squares[1])
        found = np.full(scale.shape, np.nan)
        found[varies] = np.clip(self._products[varies] / scale[varies], -1, 1)
        return found

    def correlations(self) -> Correlations:
        """Median and 5% quantile of `correlations_of_latents` over the latents that have one.

        Raises:
            UndefinedMetric: no vectors, no latent varies on both sides, or one is not finite.
        """
        found = self.correlations_of_latents()
        found = found[~np.isnan(found)]
        if len(found) == 0:
            raise UndefinedMetric("no latent varies at both precisions")
        low, median = np.quantile(found, (_LOW_QUANTILE, 0.5))
        return Correlations(median=float(median), low=float(low), n_latents=len(found))

    @property
    def alive(self) -> tuple[int, int]:
        """How many latents were active on any vector, of a and of b."""
        n_alive = (self._fired > 0).sum(axis=1)
        return int(n_alive[0]), int(n_alive[1])

    def alive_shift(self) -> float:
        """`(alive_b - alive_a) / alive_a`, no unit.

        It has no bootstrap interval: a draw leaves out about a third of the vectors, and with them
        rare latents, so that every draw counts too few.

        Raises:
            UndefinedMetric: no vectors, no latent of a is alive, or one is not finite.
        """
        self._check()
        alive_a, alive_b = self.alive
        if alive_a == 0:
            raise UndefinedMetric("no latent is active at the first precision")
        return (alive_b - alive_a) / alive_a

    def _sets(self) -> NDArray[np.int64]:
        """[n] latents that are active on both sides."""
        self._check()
        return np.concatenate(self._shared)

    def _counts(self) -> NDArray[np.int64]:
        """[2, n] active latents of a and of b."""
        self._check()
        return np.concatenate(self._active, axis=1)

    def _check(self) -> None:
        if self.n == 0:
            raise UndefinedMetric("there are no activation vectors")
        if not self._is_finite:
            raise UndefinedMetric("a latent is not finite at one of the precisions")


def mean_of_defined(values: Floats, groups: NDArray[np.int64]) -> Estimate:
    """Mean over the vectors whose value is not NaN, with its 95% bootstrap interval.

    Args:
        values: [n] one number of each vector, NaN where it has none.
        groups: [n] the group of each vector; whole groups are drawn.

    Raises:
        UndefinedMetric: too few vectors have a value.
    """
    defined = ~np.isnan(values)
    return ratio_interval(values[defined], np.ones(int(defined.sum())), groups[defined])


def _share(parts: NDArray[np.int64], wholes: NDArray[np.int64]) -> Floats:
    found = np.full(len(parts), np.nan)
    np.divide(parts, wholes, out=found, where=wholes > 0)
    return found


def _mean_of_defined(values: Floats) -> float:
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        raise UndefinedMetric("no latent is active on any vector at either precision")
    return float(defined.mean())
