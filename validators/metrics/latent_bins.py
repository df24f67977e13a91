"""Latents counted in bins: by how often they fire, and by their thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.undefined import UndefinedMetric

# Thirds of a decade: wider than from one vector to two, so that no bin between others is empty only
# because a latent fires a whole number of times.
_STEPS = (Decimal("1"), Decimal("2.15443"), Decimal("4.64159"))
# Bins of thresholds for each decade: each edge is 5.9% above the last.
BINS_PER_DECADE = 40
# Thresholds further than 2 decades from the middle are counted, and not told apart.
_MOST_BINS_ASIDE = 2 * BINS_PER_DECADE


@dataclass(frozen=True)
class BinnedLatents:
    """Counts [bins] of latents between edges [bins + 1], which ascend.

    A bin holds its lower edge, the last one its upper edge as well; `below` and `above` count the
    latents beyond all edges.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    below: int
    above: int


def firing_density(fired: NDArray[np.int64], n: int) -> BinnedLatents:
    """Latents by the share of the vectors on which they were active.

    The edges are thirds of a decade, `10^-m` times 1, 2.15443 and 4.64159, from the last one that
    is not above `1 / n` up to 1. A latent that never fired is `below`.

    Args:
        fired: [d_sae] on how many of the vectors each latent was active.
        n: the vectors.

    Raises:
        UndefinedMetric: there are no vectors.
    """
    if n == 0:
        raise UndefinedMetric("there are no activation vectors")
    shares = _shares_down_to(n)
    # The least number of vectors that is such a share; whole numbers leave no room for rounding.
    least = [int((share * n).to_integral_value(ROUND_CEILING)) for share in shares]
    bins = np.searchsorted(np.array(least[:-1]), fired, side="right")
    below, *counts = np.bincount(bins, minlength=len(least)).tolist()
    return BinnedLatents(tuple(float(share) for share in shares), tuple(counts), below, 0)


def _shares_down_to(n: int) -> list[Decimal]:
    """The edges, ascending; the first one is at most 1 / n, and only the first."""
    shares, decade = [Decimal(1)], 0
    while shares[0] * n > 1:
        decade += 1
        for step in reversed(_STEPS):
            if shares[0] * n > 1:
                shares.insert(0, step.scaleb(-decade))
    return shares if len(shares) > 1 else [_STEPS[-1].scaleb(-1), *shares]


def threshold_bins(threshold: NDArray[np.floating[Any]], middle: float | None) -> BinnedLatents:
    """Latents by threshold.

    The edges are `middle * 10^((i + 1/2) / 40)` with six significant digits, for whole i: one bin
    reaches from 2.8% under the middle to 2.9% over it. Bins at either end without a latent are left
    out, and so are those that begin more than 2 decades from the middle.

    Args:
        threshold: [latents], in the units of the exported weights.
        middle: the threshold of all latents before training; where it is not known or not above
            0, the median of those above 0 takes its place.

    Raises:
        UndefinedMetric: there is no latent, or a threshold is not finite.
    """
    if len(threshold) == 0:
        raise UndefinedMetric("no latent was active on the training vectors")
    values = threshold.astype(np.float64)
    if not np.isfinite(values).all():
        raise UndefinedMetric("a threshold is not finite")
    positive = values[values > 0]
    if middle is None or middle <= 0:
        middle = float(np.median(positive)) if len(positive) else 1.0
    steps = np.arange(-_MOST_BINS_ASIDE, _MOST_BINS_ASIDE + 2) - 0.5
    edges = np.array([float(f"{edge:.6g}") for edge in middle * 10 ** (steps / BINS_PER_DECADE)])
    counts, _ = np.histogram(values, edges)
    taken = np.flatnonzero(counts)
    # Without any, the bin of the middle says where they are not.
    first, last = (taken[0], taken[-1]) if len(taken) else (_MOST_BINS_ASIDE, _MOST_BINS_ASIDE)
    return BinnedLatents(
        tuple(edges[first : last + 2].tolist()),
        tuple(counts[first : last + 1].tolist()),
        below=int((values < edges[0]).sum()),
        above=int((values > edges[-1]).sum()),
    )
