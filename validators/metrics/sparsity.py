"""How many latents are active: L0 and its distribution, dead and dense latents."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.conventions import DENSE_PERCENT
from validators.metrics.undefined import UndefinedMetric


class LatentCounts:
    """Counts over latents [n, d_sae]; a latent is active where it is != 0.

    Attributes:
        n: vectors counted.
        fired: [d_sae] on how many vectors each latent was active.
        l0_histogram: [d_sae + 1] how many vectors had 0, 1, ... d_sae active latents.
    """

    def __init__(self, d_sae: int) -> None:
        self.n = 0
        self.fired: NDArray[np.int64] = np.zeros(d_sae, dtype=np.int64)
        self.l0_histogram: NDArray[np.int64] = np.zeros(d_sae + 1, dtype=np.int64)

    def add(self, latents: NDArray[np.floating[Any]]) -> None:
        """Count a batch [vectors, d_sae]."""
        if len(latents) == 0:
            return
        active = latents != 0
        self.n += len(latents)
        self.fired += active.sum(axis=0)
        self.l0_histogram += np.bincount(active.sum(axis=1), minlength=len(self.l0_histogram))

    @property
    def l0_min(self) -> int | None:
        """The fewest latents active on one vector; None before any was counted."""
        return int(np.flatnonzero(self.l0_histogram)[0]) if self.n else None

    @property
    def l0_max(self) -> int | None:
        """The most latents active on one vector; None before any was counted."""
        return int(np.flatnonzero(self.l0_histogram)[-1]) if self.n else None

    def l0(self) -> float:
        """Mean number of latents != 0 for each vector.

        Raises:
            UndefinedMetric: no vectors were counted.
        """
        self._check_counted()
        return int(self.fired.sum()) / self.n

    def l0_quantile(self, share: float) -> float:
        """The number of active latents that a share of the vectors does not exceed.

        Linear between the two nearest vectors, as `numpy.quantile` (Hyndman & Fan 1996, type 7).

        Args:
            share: 0.5 for the median.

        Raises:
            UndefinedMetric: no vectors were counted.
        """
        self._check_counted()
        each = np.repeat(np.arange(len(self.l0_histogram)), self.l0_histogram)
        return float(np.quantile(each, share))

    def dead_fraction(self) -> float:
        """Share of the d_sae latents that were active on none of the n vectors.

        Raises:
            UndefinedMetric: no vectors were counted.
        """
        self._check_counted()
        return float((self.fired == 0).mean())

    def dense_fraction(self) -> float:
        """Share of the d_sae latents that were active on more than `DENSE_PERCENT` of n vectors.

        Raises:
            UndefinedMetric: no vectors were counted.
        """
        self._check_counted()
        return float((100 * self.fired > DENSE_PERCENT * self.n).mean())

    def _check_counted(self) -> None:
        if self.n == 0:
            raise UndefinedMetric("there are no activation vectors")
