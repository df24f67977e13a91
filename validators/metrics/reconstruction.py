"""How well an SAE reconstructs: explained variance, mean squared error and cosine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.bootstrap import parts, squared_errors
from validators.metrics.undefined import UndefinedMetric

Floats = NDArray[np.floating[Any]]


class ReconstructionSums:
    """Sums over vectors x [n, d_in] and reconstructions x_hat [n, d_in], in float64.

    The sum of squares about the mean is merged batch by batch, so that vectors with a large mean
    do not cancel and the result does not depend on the batch size. Source: Chan, Golub, LeVeque
    1983, "Algorithms for computing the sample variance", equation 2.1.

    Attributes:
        n: vectors counted.
        n_cosines: those of them with a cosine, so neither x nor x_hat is 0.
    """

    def __init__(self) -> None:
        self.n = 0
        self.n_cosines = 0
        self._d_in = 0
        self._mean: Floats = np.zeros(0)
        self._squares_about_mean = 0.0
        self._squared_error = 0.0
        self._cosines = 0.0
        self._errors_each: list[Floats] = []

    def add(self, x: Floats, x_hat: Floats) -> None:
        """Count a batch; both [vectors, d_in]."""
        assert x.shape == x_hat.shape, "one reconstruction for each vector"
        if len(x) == 0:
            return
        x, x_hat = x.astype(np.float64), x_hat.astype(np.float64)
        mean = x.mean(axis=0)
        squares = float(((x - mean) ** 2).sum())
        if self.n == 0:
            self._d_in, self._mean = x.shape[1], np.zeros_like(mean)
        n_both = self.n + len(x)
        shift = mean - self._mean
        self._squares_about_mean += squares + float(shift @ shift) * self.n * len(x) / n_both
        self._mean = self._mean + shift * (len(x) / n_both)
        errors = squared_errors(x, x_hat)
        self._errors_each.append(errors)
        self._squared_error += float(errors.sum())
        own = cosines(x, x_hat)
        self.n_cosines += int((~np.isnan(own)).sum())
        self._cosines += float(np.nansum(own))
        self.n = n_both

    @property
    def errors_each(self) -> Floats:
        """[n] squared error of each vector, in the order in which they were counted."""
        return np.concatenate([*self._errors_each, np.zeros(0)])

    def explained_variance(self) -> float:
        """1 - sum ||x - x_hat||^2 / sum ||x - mean(x)||^2, both sums over all vectors.

        1 is perfect, 0 no better than the mean of these vectors, below 0 worse.

        Raises:
            UndefinedMetric: no vectors, all vectors equal, or a reconstruction is not finite.

        Source: 1 - FVU of Gao et al. 2024 (arXiv:2406.04093); docs/terms.md.
        """
        self._check_finite()
        if self._squares_about_mean == 0:
            raise UndefinedMetric("all activation vectors are equal, so there is no variance")
        return 1 - self._squared_error / self._squares_about_mean

    def mse(self) -> float:
        """Mean of (x - x_hat)^2 over vectors and dimensions, in squared units of x.

        Raises:
            UndefinedMetric: no vectors, or a reconstruction is not finite.
        """
        self._check_finite()
        return self._squared_error / (self.n * self._d_in)

    def cosine(self) -> float:
        """Mean of x . x_hat / (||x|| ||x_hat||) over the vectors that have one, `n_cosines`.

        Where x or x_hat is 0 there is no angle between them; such a vector is left out.

        Raises:
            UndefinedMetric: no vectors, none with a cosine, or a reconstruction is not finite.
        """
        self._check_finite()
        if self.n_cosines == 0:
            raise UndefinedMetric("every vector or its reconstruction is 0, which has no direction")
        return self._cosines / self.n_cosines

    def _check_finite(self) -> None:
        if self.n == 0:
            raise UndefinedMetric("there are no activation vectors")
        if not np.isfinite(self._squares_about_mean):
            raise UndefinedMetric("an activation is not finite")
        if not np.isfinite(self._squared_error):
            raise UndefinedMetric("a reconstruction is not finite")


def cosines(x: Floats, x_hat: Floats) -> Floats:
    """[n] cosine of each vector [n, d_in] with its reconstruction, in float64.

    NaN where there is none: one of the two is 0, or not finite.
    """
    rows = (_cosines(x[part], x_hat[part]) for part in parts(len(x)))
    return np.concatenate([*rows, np.zeros(0)])


def _cosines(x: Floats, x_hat: Floats) -> Floats:
    x, x_hat = x.astype(np.float64), x_hat.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        dots = np.einsum("ij,ij->i", x, x_hat)
        lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(x_hat, axis=1)
        return np.asarray(np.where(lengths > 0, dots / lengths, np.nan))
