"""Whether JumpReLU thresholds were trained at all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.conventions import MOVED_BY
from validators.metrics.undefined import UndefinedMetric


def threshold_moved_fraction(
    threshold: NDArray[np.floating[Any]],
    fired: NDArray[np.int64],
    threshold_init: float,
) -> float:
    """Share of the live latents whose threshold left its initial value by more than 10% of it.

    Args:
        threshold: [d_sae], in the units of the exported weights.
        fired: [d_sae], on how many training vectors each latent was active; live: on any.
        threshold_init: the value of all thresholds before training, in the same units.

    Raises:
        UndefinedMetric: no latent is alive.
    """
    alive = fired > 0
    if not alive.any():
        raise UndefinedMetric("no latent was active on the training vectors")
    moved = np.abs(threshold.astype(np.float64) - threshold_init) > MOVED_BY * abs(threshold_init)
    return float(moved[alive].mean())
