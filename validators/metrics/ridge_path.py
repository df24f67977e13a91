"""Ridge regression at many strengths and for many label columns at once.

All of it follows from one eigendecomposition of the standardised training vectors, so that a
thousand permuted labels cost little more than one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.undefined import UndefinedMetric

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Spectrum:
    """Standardised training vectors Z = U diag(root) V', and left-out ones in the same axes.

    Attributes:
        U: [n_train, rank] orthonormal columns, each orthogonal to the constant.
        root: [rank] singular values of Z, all above rounding.
        left_out: [n_left_out, rank] the left-out vectors times V.
        n_columns: dimensions that vary in training.
    """

    U: Floats
    root: Floats
    left_out: Floats
    n_columns: int

    @property
    def unit(self) -> float:
        """Mean squared singular value, which makes strengths comparable over shapes."""
        return float((self.root**2).mean())

    def as_float32(self) -> Spectrum:
        """The same, rounded; what is computed from it is then in float32 too."""
        return Spectrum(
            self.U.astype(np.float32),
            self.root.astype(np.float32),
            self.left_out.astype(np.float32),
            self.n_columns,
        )


def spectrum(train: NDArray[np.floating[Any]], left_out: NDArray[np.floating[Any]]) -> Spectrum:
    """Standardise by mean and deviation of the training vectors, and decompose.

    Dimensions that are constant in training, as dead latents are, say nothing and are dropped.

    Args:
        train: [n_train, d].
        left_out: [n_left_out, d].

    Raises:
        UndefinedMetric: no dimension varies, or a value is not finite.
    """
    varies = train.max(axis=0) > train.min(axis=0)
    if not varies.any():
        raise UndefinedMetric("all training vectors of a fold are equal")
    z, left = train[:, varies].astype(np.float64), left_out[:, varies].astype(np.float64)
    mean, deviation = z.mean(axis=0), z.std(axis=0)
    if not (np.isfinite(deviation).all() and np.isfinite(left).all()):
        raise UndefinedMetric("an activation is not finite")
    z, left = (z - mean) / deviation, (left - mean) / deviation
    n, d = z.shape
    if d > n:
        squares, U = np.linalg.eigh(z @ z.T)
        U, root = _kept(squares, U)
        projected = (left @ z.T) @ (U / root)
    else:
        squares, V = np.linalg.eigh(z.T @ z)
        V, root = _kept(squares, V)
        U, projected = z @ (V / root), left @ V
    return Spectrum(U, root, projected, n_columns=d)


def _kept(squares: Floats, axes: Floats) -> tuple[Floats, Floats]:
    """Axes and singular values without those that only rounding made."""
    kept = squares > squares.max() * len(squares) * np.finfo(np.float64).eps * 10
    return axes[:, kept], np.sqrt(squares[kept])


@dataclass(frozen=True)
class Strength:
    """Fitted and left-out values at one strength, for each column of labels.

    All values are relative to the midpoint between the means of the two classes' fitted values in
    the vectors that were fitted, so that class sizes move no threshold.

    Attributes:
        within: [n_train, columns] values of the training vectors, each by the fit without its
            block.
        left_out: [n_left_out, columns] values of the left-out vectors by the fit on all of the
            training vectors.
    """

    within: Floats
    left_out: Floats


class RidgePath:
    """Fits of one fold's labels at any strength."""

    def __init__(
        self, spectrum: Spectrum, labels: NDArray[np.bool_], blocks: NDArray[np.int64]
    ) -> None:
        """Prepare the labels.

        Args:
            spectrum: of the fold.
            labels: [n_train, columns] each a labelling of the training vectors.
            blocks: [n_train] which of them are left out together.
        """
        self._spectrum = spectrum
        self._y = labels.astype(spectrum.U.dtype)
        self._mean = self._y.mean(axis=0)
        self._loads = spectrum.U.T @ self._y
        self._blocks = [np.flatnonzero(blocks == block) for block in np.unique(blocks)]

    def at(self, strength: float) -> Strength:
        """Ridge with an unpenalised intercept; `strength` is the penalty on the squared weights.

        The values without a block B need no second fit: for ridge the errors there are
        (I - H_BB)^-1 (y - Hy)_B, with the hat matrix H of all training vectors, and the fitted
        values elsewhere move by -H_.B times that. Exact for the given standardisation.

        Source: Hastie, Tibshirani & Friedman 2009, "The Elements of Statistical Learning",
        sections 7.10 and 18.3.5.
        """
        U, root = self._spectrum.U, self._spectrum.root
        shrunk = root**2 / (root**2 + strength)
        loads = shrunk[:, None] * self._loads
        fitted = U @ loads + self._mean
        left_out = (self._spectrum.left_out / root) @ loads + self._mean
        sums = np.stack([(self._y * fitted).sum(axis=0), self._y.sum(axis=0)])
        left_out -= _midpoint(sums[0], fitted.sum(axis=0), sums[1], len(U))
        return Strength(self._without_blocks(shrunk, fitted, sums), left_out)

    def _without_blocks(self, shrunk: Floats, fitted: Floats, sums: Floats) -> Floats:
        U, y, n = self._spectrum.U, self._y, len(self._spectrum.U)
        positive, n_positive = sums
        values = np.empty_like(fitted)
        for rows in self._blocks:
            hat = (U[rows] * shrunk) @ U[rows].T + 1 / n
            errors = np.linalg.solve(np.eye(len(rows), dtype=U.dtype) - hat, y[rows] - fitted[rows])
            without = y[rows] - errors
            # Sums of the new fitted values over the training vectors outside of the block. H is
            # symmetric, so that its columns' sums over the positives are the fitted values, and
            # its columns' sums over all vectors are 1.
            of_positives = positive - (fitted[rows] * errors).sum(axis=0)
            of_positives -= (y[rows] * without).sum(axis=0)
            of_all = n_positive - errors.sum(axis=0) - without.sum(axis=0)
            values[rows] = without - _midpoint(
                of_positives, of_all, n_positive - y[rows].sum(axis=0), n - len(rows)
            )
        return values


def _midpoint(of_positives: Floats, of_all: Floats, n_positive: Floats, n: int) -> Floats:
    """Midway between two classes' means, from sums; a class without vectors has the mean 0."""
    return 0.5 * (
        of_positives / np.maximum(n_positive, 1)
        + (of_all - of_positives) / np.maximum(n - n_positive, 1)
    )
