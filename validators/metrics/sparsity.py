"""How many latents are active: L0 and dead latents."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.undefined import UndefinedMetric


class LatentCounts:
    """Counts over latents [n, d_sae]; a latent is active where it is != 0."""

    def __init__(self, d_sae: int) -> None:
        self.n = 0
        self.fired: NDArray[np.int64] = np.zeros(d_sae, dtype=np.int64)
        self.l0_min: int | None = None
        self.l0_max: int | None = None

    def add(self, latents: NDArray[np.floating[Any]]) -> None:
        """Count a batch [vectors, d_sae]."""
        if len(latents) == 0:
            return
        active = latents != 0
        per_vector = active.sum(axis=1)
        low, high = int(per_vector.min()), int(per_vector.max())
        self.n += len(latents)
        self.fired += active.sum(axis=0)
        self.l0_min = low if self.l0_min is None else min(low, self.l0_min)
        self.l0_max = high if self.l0_max is None else max(high, self.l0_max)

    def l0(self) -> float:
        """Mean number of latents != 0 for each vector.

        Raises:
            UndefinedMetric: no vectors were counted.
        """
        self._check_counted()
        return int(self.fired.sum()) / self.n

    def dead_fraction(self) -> float:
        """Share of the d_sae latents that were active on none of the n vectors.

        Raises:
            UndefinedMetric: no vectors were counted.
        """
        self._check_counted()
        return float((self.fired == 0).mean())

    def _check_counted(self) -> None:
        if self.n == 0:
            raise UndefinedMetric("there are no activation vectors")
