"""Decoder rows that point the same way as another one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SKETCH_WIDTH = 32
# 1024 x 1024 distances in float32 are 4 MiB, which a cache may hold.
_BLOCK = 1024
_MAX_PAIRS = 16384


def nearest_cosines(rows: NDArray[np.floating[Any]], *, above: float) -> NDArray[np.float32]:
    """Highest cosine of each row [n, d] with another row that comes before it; -1 where lower.

    So of two equal rows the second is named, and of m equal rows m - 1. Zero rows match nothing.
    Candidates are found by 32 random projections (fixed seed) and then compared in full: a pair
    with a cosine above the limit would be missed only if its difference were lengthened threefold
    by the projection, which for 32 Gaussian projections has a probability below 1e-20.

    Args:
        rows: directions, of any length.
        above: the cosine, near 1, from which on pairs matter.
    """
    norms = np.linalg.norm(np.asarray(rows, np.float32), axis=1)
    present = np.flatnonzero(norms > 0)
    units = np.asarray(rows, np.float32)[present] / norms[present, None]
    found = np.full(len(rows), -1, np.float32)
    for later, earlier in _candidates(_sketch(units), cosine=above):
        cosines = np.einsum("ij,ij->i", units[later], units[earlier])
        near = cosines >= above
        np.maximum.at(found, present[later[near]], cosines[near])
    return found


def _candidates(
    sketch: NDArray[np.float32], *, cosine: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of rows, the second before the first, that are near each other in the sketch."""
    # |a - b|^2 = 2 (1 - cos), in the sketch at most 9 times that.
    limit = 9 * 2 * (1 - cosine) + 1e-5
    squares = np.square(sketch).sum(axis=1)
    ones = np.ones_like(squares)
    left = np.column_stack([-2 * sketch, squares, ones])
    right = np.column_stack([sketch, ones, squares]).T.copy()
    for start in range(0, len(sketch), _BLOCK):
        for before in range(0, start + 1, _BLOCK):
            distance = left[start : start + _BLOCK] @ right[:, before : before + _BLOCK]
            # Nearly all blocks hold no pair at all.
            if before != start and float(distance.min()) > limit:
                continue
            if before == start:
                distance[np.triu_indices(len(distance))] = np.inf
            later, earlier = np.nonzero(distance <= limit)
            if len(later) > _MAX_PAIRS:
                # Most rows are alike: of each, the nearest is enough to say so.
                later = np.flatnonzero(distance.min(axis=1) <= limit)
                earlier = distance[later].argmin(axis=1)
            if len(later):
                yield later + start, earlier + before


def _sketch(units: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows [n, d] in 32 dimensions, with their distances kept on average."""
    d = units.shape[1]
    if d <= _SKETCH_WIDTH:
        return units
    projection = np.random.default_rng(0).normal(size=(d, _SKETCH_WIDTH)) / np.sqrt(_SKETCH_WIDTH)
    return np.asarray(units @ projection.astype(np.float32))
