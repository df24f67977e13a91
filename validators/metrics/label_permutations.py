"""Labels exchanged at random among vectors: what a statistic is worth when labels mean nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Scheme = Literal["within_groups", "whole_groups"]

N_PERMUTATIONS = 1_000
MOST_COUNTED = 1_000_000
_KEYS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Exchangeable:
    """What may be exchanged under the hypothesis that labels and vectors are unrelated.

    Attributes:
        scheme: `within_groups`, each group keeps its number of positive vectors; `whole_groups`,
            where no group holds both labels: all vectors of a group change label together.
        n_fixed: vectors that keep their label in every permutation, since their group holds only
            one; 0 for `whole_groups`.
        n_arrangements: how many different labellings there are, the given one included; counted
            up to `MOST_COUNTED`. No p-value means less than `1 / n_arrangements`, whatever the
            number of permutations.
    """

    scheme: Scheme
    n_fixed: int
    n_arrangements: int


def exchangeable(y: NDArray[np.bool_], groups: NDArray[np.int64]) -> Exchangeable:
    """Which labellings `permuted_labels` draws from.

    Args:
        y: labels [n].
        groups: [n] the group of each vector, say its scenario; all in one group, or each in its
            own, both make every vector exchangeable with every other.
    """
    index, positive, size = _counts(y, groups)
    is_mixed = (positive > 0) & (positive < size)
    if is_mixed.any():
        return Exchangeable(
            scheme="within_groups",
            n_fixed=int((~is_mixed[index]).sum()),
            n_arrangements=min(
                MOST_COUNTED,
                math.prod(math.comb(int(n), int(k)) for n, k in zip(size, positive, strict=True)),
            ),
        )
    n_arrangements = math.comb(len(size), int((positive > 0).sum()))
    return Exchangeable("whole_groups", n_fixed=0, n_arrangements=min(MOST_COUNTED, n_arrangements))


def permuted_labels(
    y: NDArray[np.bool_], groups: NDArray[np.int64], n_permutations: int, seed: int
) -> NDArray[np.bool_]:
    """Labels [n_permutations, n], each row an arrangement drawn at random, with replacement.

    Where any group holds both labels, labels are exchanged within groups only: vectors of one
    scenario are alike, and labels are rarer in some scenarios than in others, so exchanging across
    scenarios would give too narrow a null. Otherwise the label is a property of the group, and the
    groups exchange theirs; classes then change in size if groups differ in size. The given labels
    are not put in; p-values are `(1 + exceeding) / (1 + n_permutations)`.

    Source: Winkler et al. 2015, "Multi-level block permutation", NeuroImage 123; the p-value:
    Phipson & Smyth 2010, "Permutation p-values should never be zero".
    """
    generator = np.random.default_rng(seed)
    index, positive, size = _counts(y, groups)
    if ((positive > 0) & (positive < size)).any():
        return _permuted_within(np.asarray(y, np.bool_), index, n_permutations, generator)
    each_alone = np.zeros(len(size), np.int64)
    return _permuted_within(positive > 0, each_alone, n_permutations, generator)[:, index]


def _permuted_within(
    y: NDArray[np.bool_],
    index: NDArray[np.int64],
    n_permutations: int,
    generator: np.random.Generator,
) -> NDArray[np.bool_]:
    """Labels [n_permutations, n] exchanged among those with the same index."""
    grouped = y[np.argsort(index, kind="stable")]
    drawn = np.empty((n_permutations, len(y)), np.bool_)
    at_once = max(1, _KEYS_AT_ONCE // max(len(y), 1))
    for start in range(0, n_permutations, at_once):
        block = drawn[start : start + at_once]
        # Sorted, the keys of a group lie next to each other and in random order.
        order = (index + generator.random(block.shape)).argsort(axis=1)
        np.put_along_axis(block, order, grouped[None, :], axis=1)
    return drawn


def _counts(
    y: NDArray[np.bool_], groups: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Number of each vector's group [n]; positive vectors and all vectors of each group."""
    assert y.shape == groups.shape, "one group for each label"
    _, index = np.unique(groups, return_inverse=True)
    size = np.bincount(index)
    positive = np.bincount(index[np.asarray(y, np.bool_)], minlength=len(size))
    return index, positive, size
