"""From pre-activations to latents, and how far each latent is from switching on or off.

A latent is active where every condition of its architecture holds. The slack of a condition is
how far it holds (positive) or fails (negative), relative to the size of the terms that decide it;
a latent switches when the smallest of its slacks crosses zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from validators.manual.forward import Floats


class Activation(Protocol):
    """The nonlinearity of an encoder."""

    def latents(self, pre: Floats) -> Floats:
        """Latents [n, d_sae] of pre-activations [n, d_sae]."""
        ...

    def margin(self, pre: Floats, size: Floats) -> Floats:
        """Distance of each latent from its switching point, relative to `size` [n, d_sae]."""
        ...


@dataclass(frozen=True)
class Rectified:
    """ReLU: active above zero."""

    def latents(self, pre: Floats) -> Floats:
        """max(pre, 0)."""
        return np.maximum(pre, np.float32(0))

    def margin(self, pre: Floats, size: Floats) -> Floats:
        """Distance from zero."""
        return np.abs(relative(pre, size))


@dataclass(frozen=True)
class Jumping:
    """JumpReLU: unchanged above the threshold, zero at it and below.

    Rajamanoharan et al. 2024 (arXiv:2407.14435); never active at or below zero.
    """

    threshold: Floats

    def latents(self, pre: Floats) -> Floats:
        """Pre where pre > max(threshold, 0), else 0."""
        return np.where(pre > self.threshold, np.maximum(pre, np.float32(0)), np.float32(0))

    def margin(self, pre: Floats, size: Floats) -> Floats:
        """Distance from the threshold, or from zero where that is higher."""
        return np.abs(relative(pre - np.maximum(self.threshold, np.float32(0)), size))


@dataclass(frozen=True)
class Largest:
    """TopK: the k largest pre-activations of each vector, rectified.

    Gao et al. 2024 (arXiv:2406.04093), equation 3. With `by_magnitude` AbsTopK: the k largest
    absolute values, which keep their signs (arXiv:2510.00404).
    """

    k: int
    by_magnitude: bool = False

    def latents(self, pre: Floats) -> Floats:
        """The chosen ones; all others 0."""
        chosen = np.argpartition(self._rank(pre), -self.k, axis=1)[:, -self.k :]
        values = np.take_along_axis(pre, chosen, axis=1)
        latents = np.zeros_like(pre)
        np.put_along_axis(
            latents,
            chosen,
            values if self.by_magnitude else np.maximum(values, np.float32(0)),
            axis=1,
        )
        return latents

    def margin(self, pre: Floats, size: Floats) -> Floats:
        """The smaller of the distances from zero and from the best latent on the other side."""
        rank = self._rank(pre)
        above_zero = relative(rank, size)
        d_sae = rank.shape[1]
        if self.k >= d_sae:
            return np.abs(above_zero)
        order = np.argpartition(rank, (d_sae - self.k - 1, d_sae - self.k), axis=1)
        last_in, first_out = order[:, [d_sae - self.k]], order[:, [d_sae - self.k - 1]]
        is_in = rank >= np.take_along_axis(rank, last_in, axis=1)
        rival = np.where(is_in, first_out, last_in)
        ahead = relative(
            rank - np.take_along_axis(rank, rival, axis=1),
            size + np.take_along_axis(size, rival, axis=1),
        )
        return np.abs(np.minimum(ahead, above_zero))

    def _rank(self, pre: Floats) -> Floats:
        return np.abs(pre) if self.by_magnitude else pre


def relative(distance: Floats, size: Floats) -> Floats:
    """`distance / size`; where nothing was summed, there is no rounding: infinitely far, or 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distance == 0, np.float32(0), distance / size)
