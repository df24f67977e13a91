"""Directions in activation space: between the means of two classes, and how two of them agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.undefined import UndefinedMetric

Floats = NDArray[np.floating[Any]]

# Of a mean's length: what sums of equal vectors in float64 may differ by, in any direction.
EQUAL_MEANS = 1e-10


def mean_difference(vectors: Floats, y: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean of the positive vectors minus mean of the others [d_in], in float64.

    Of activations this is the raw direction. Of an SAE's reconstructions it is the decoded one,
    `(mean of the positive latents - mean of the other latents) W_dec`: `b_dec` cancels.

    Args:
        vectors: [n, d_in].
        y: [n] True for the positive class.

    Raises:
        UndefinedMetric: a class has no vectors, a vector is not finite, or both means are the same.

    Source: Marks & Tegmark 2023, arXiv:2310.06824; for steering Rimsky et al. 2023,
    arXiv:2312.06681.
    """
    assert vectors.shape[:1] == y.shape, "one label for each vector"
    if y.all() or not y.any():
        raise UndefinedMetric("one class has no vectors, so there is no difference of means")
    wide = vectors.astype(np.float64)
    if not np.isfinite(wide).all():
        raise UndefinedMetric("an activation is not finite")
    positive, other = wide[y].mean(axis=0), wide[~y].mean(axis=0)
    difference = positive - other
    if np.linalg.norm(difference) <= EQUAL_MEANS * np.linalg.norm(positive):
        raise UndefinedMetric("both classes have the same mean, so there is no direction")
    return np.asarray(difference)


def cosine(first: Floats, second: Floats) -> float:
    """Cosine of the angle between two directions [d_in], in float64; -1 to 1, no unit.

    Raises:
        UndefinedMetric: a direction has length 0 or is not finite.
    """
    a, b = unit(first), unit(second)
    # Rounding may carry equal directions a little beyond 1.
    return float(np.clip(a @ b, -1.0, 1.0))


def direction_cosine(direction: Floats, vectors: Floats, y: NDArray[np.bool_]) -> float:
    """Cosine of a direction [d_in] with `mean_difference` of the vectors.

    Raises:
        UndefinedMetric: see `cosine` and `mean_difference`.
    """
    return cosine(direction, mean_difference(vectors, y))


def unit(direction: Floats) -> NDArray[np.float64]:
    """The direction [d_in] at length 1, in float64.

    Raises:
        UndefinedMetric: its length is 0 or not finite.
    """
    wide = direction.astype(np.float64)
    length = float(np.linalg.norm(wide))
    if not np.isfinite(length):
        raise UndefinedMetric("the direction is not finite")
    if length == 0:
        raise UndefinedMetric("the direction has length 0")
    return np.asarray(wide / length)


def typical_length(vectors: Floats) -> float:
    """Median length of the vectors [n, d_in], in units of the activation.

    The median, since a single position of outlying norm can be a hundred times as long as others.

    Raises:
        UndefinedMetric: there are no vectors, or the median is 0 or not finite.
    """
    if len(vectors) == 0:
        raise UndefinedMetric("there are no activation vectors")
    length = float(np.median(np.linalg.norm(vectors.astype(np.float64), axis=1)))
    if not np.isfinite(length) or length == 0:
        raise UndefinedMetric(f"the median length of the activation vectors is {length:g}")
    return length


def random_direction(d_in: int, seed: int) -> NDArray[np.float64]:
    """A direction [d_in] of length 1, uniform over the sphere: what any direction would do."""
    return unit(np.random.default_rng(seed).normal(size=d_in))
