"""How far activations move when the base model is run at another precision, and how large they are.

The first side, a, is the precision that the SAE was trained at; row i of both is the same token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.bootstrap import (
    Estimate,
    explained_variance_difference,
    ratio_interval,
)
from validators.metrics.undefined import UndefinedMetric

Floats = NDArray[np.floating[Any]]

FP16_LARGEST = 65504.0
_CONFIDENCE = 0.95
# Rows in float64 at a time: 4096 x 2048 are 64 MiB.
_ROWS = 4096


@dataclass(frozen=True)
class ResidualShift:
    """Squares of the vectors that are finite at both precisions, in float64.

    Attributes:
        is_finite: [n_all] which of the vectors given these are; the others are left out below.
        errors: [n] `||x_b - x_a||^2`.
        squares: [n] `||x_a||^2`.
        squares_about_mean: [n] `||x_a - mean(x_a)||^2`.
    """

    is_finite: NDArray[np.bool_]
    errors: Floats
    squares: Floats
    squares_about_mean: Floats

    @property
    def n(self) -> int:
        """Vectors that the numbers rest on."""
        return len(self.errors)

    @property
    def n_not_finite(self) -> int:
        """Vectors left out."""
        return int((~self.is_finite).sum())

    def relative_error(self, groups: NDArray[np.int64]) -> Estimate:
        """`sqrt(sum ||x_b - x_a||^2 / sum ||x_a||^2)`, no unit, with its 95% interval.

        About zero, so that a large mean, which most residual streams have, makes it small.

        Args:
            groups: [n_all] the group of each vector that was given.

        Raises:
            UndefinedMetric: too few vectors, or all are 0.
        """
        return self._root_ratio(self.squares, groups)

    def relative_error_about_mean(self, groups: NDArray[np.int64]) -> Estimate:
        """`sqrt(sum ||x_b - x_a||^2 / sum ||x_a - mean(x_a)||^2)`, no unit, with its 95% interval.

        What is lost of that in which vectors differ; its square is comparable with
        `1 - explained_variance`.

        Args:
            groups: [n_all] the group of each vector that was given.

        Raises:
            UndefinedMetric: too few vectors, or all are equal.
        """
        return self._root_ratio(self.squares_about_mean, groups)

    def relative_error_median(self) -> float:
        """Median over vectors of `||x_b - x_a|| / ||x_a||`; vectors of norm 0 have none.

        Raises:
            UndefinedMetric: no finite vector has a norm above 0.
        """
        has_norm = self.squares > 0
        if not has_norm.any():
            raise UndefinedMetric("no vector is finite and of a norm above 0")
        return float(np.median(np.sqrt(self.errors[has_norm] / self.squares[has_norm])))

    def _root_ratio(self, squares: Floats, groups: NDArray[np.int64]) -> Estimate:
        ratio = ratio_interval(self.errors, squares, groups[self.is_finite], confidence=_CONFIDENCE)
        return Estimate(*(float(np.sqrt(end)) for end in (ratio.value, ratio.low, ratio.high)))


def residual_shift(x_a: Floats, x_b: Floats) -> ResidualShift:
    """Compare activations x_a and x_b [n, d_in] of the same tokens at two precisions."""
    assert x_a.shape == x_b.shape, "the same vectors at both precisions"
    is_finite = np.asarray(np.isfinite(x_a).all(axis=1) & np.isfinite(x_b).all(axis=1))
    rows = np.flatnonzero(is_finite)
    mean = np.zeros(x_a.shape[1])
    for chosen in _chunks(rows):
        mean += x_a[chosen].astype(np.float64).sum(axis=0) / len(rows)
    errors, squares, about = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
    for start, chosen in zip(range(0, len(rows), _ROWS), _chunks(rows), strict=True):
        at = slice(start, start + len(chosen))
        wide = x_a[chosen].astype(np.float64)
        errors[at] = ((x_b[chosen] - wide) ** 2).sum(axis=1)
        squares[at] = (wide**2).sum(axis=1)
        about[at] = ((wide - mean) ** 2).sum(axis=1)
    return ResidualShift(
        is_finite=is_finite, errors=errors, squares=squares, squares_about_mean=about
    )


class ActivationRange:
    """How near activations [n, d_in] of one precision come to the end of fp16's range."""

    def __init__(self) -> None:
        self.n = 0
        self.n_not_finite = 0
        self._largest: float | None = None

    def add(self, x: Floats) -> None:
        """Count a batch [vectors, d_in], float32 or wider."""
        if x.size == 0:
            return
        is_finite = np.isfinite(x)
        self.n += len(x)
        self.n_not_finite += int((~is_finite.all(axis=1)).sum())
        if is_finite.any():
            largest = float(np.abs(x).max(where=is_finite, initial=0))
            self._largest = largest if self._largest is None else max(largest, self._largest)

    def largest(self) -> float:
        """Largest finite |activation|, in the units of the activation.

        Raises:
            UndefinedMetric: no activation is finite.
        """
        if self._largest is None:
            raise UndefinedMetric("no activation is finite")
        return self._largest

    def share_of_fp16(self) -> float:
        """`largest() / 65504`, no unit: above 1, fp16 cannot hold it.

        Raises:
            UndefinedMetric: no activation is finite.
        """
        return self.largest() / FP16_LARGEST


def explained_variance_drop(
    reference: tuple[Floats, Floats], other: tuple[Floats, Floats], groups: NDArray[np.int64]
) -> Estimate:
    """`(EV_a - EV_b) / EV_a`, no unit, with its 95% bootstrap interval; negative where EV rises.

    Each explained variance is about the mean of its own vectors. In the interval the difference
    varies and the reference's EV, by which it is divided, does not.

    Args:
        reference: squared errors [n] and squares about the mean [n] at the SAE's own precision.
        other: the same of the same vectors at another precision.
        groups: [n] the group of each vector.

    Raises:
        UndefinedMetric: too few vectors, no variance, a number is not finite, or the SAE explains
            nothing at its own precision.
    """
    difference = explained_variance_difference(reference, other, groups, confidence=_CONFIDENCE)
    explained = 1 - float(reference[0].sum() / reference[1].sum())
    if explained <= 0:
        raise UndefinedMetric("the SAE explains no variance at its own precision")
    # Taken from 0, since the negative of no difference would be printed as -0.
    value, low, high = (
        (0.0 - end) / explained for end in (difference.value, difference.high, difference.low)
    )
    return Estimate(value, low, high)


def _chunks(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]
