"""What every SAE of the manual path can be asked, and how its inputs are prepared.

Computed in float32 in the order the formulas are written, because a latent that lies within
rounding of its threshold jumps by the whole threshold: higher precision would disagree with every
float32 implementation on such latents, and say nothing about the weights. Where rounding decides
is told by `switch_margin`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from manifests.errors import ReleaseError

Floats = NDArray[np.float32]
Normalization = Literal["none", "layer_norm", "constant_norm_rescale", "constant_scalar_rescale"]

_LAYER_NORM_EPSILON = np.float32(1e-5)


class UnknownToManualPath(ReleaseError):
    """A config that the manual path has no formula for; it never guesses."""

    exit_code = 1


@dataclass(frozen=True)
class Normalized:
    """Activations as the encoder sees them, and what undoes that: x = value * factor + offset."""

    value: Floats
    factor: Floats
    offset: Floats

    def undo(self, x_hat: Floats) -> Floats:
        """A reconstruction in the units of the activations."""
        return x_hat * self.factor + self.offset


@dataclass(frozen=True)
class Settings:
    """Facts of cfg.json that change the arithmetic of every architecture.

    Attributes:
        subtracts_b_dec: `apply_b_dec_to_input`.
        normalization: what is done to each activation vector at inference.
        scalar: the factor of constant_scalar_rescale, which only temporal SAEs have.
    """

    subtracts_b_dec: bool
    normalization: Normalization
    scalar: float = 1.0

    def normalized(self, x: Floats) -> Normalized:
        """Each vector of x [n, d_in] normalised by itself.

        layer_norm: (x - mean) / (std + 1e-5), with the standard deviation of a sample (n - 1);
        undone without the epsilon, as SAELens does. constant_norm_rescale: to norm sqrt(d_in).
        """
        one, zero = np.ones((len(x), 1), np.float32), np.zeros((len(x), 1), np.float32)
        if self.normalization == "none":
            return Normalized(x, one, zero)
        if self.normalization == "constant_scalar_rescale":
            scalar = np.float32(self.scalar)
            return Normalized(x * scalar, one / scalar, zero)
        if self.normalization == "layer_norm":
            mean = x.mean(axis=1, keepdims=True)
            std = (x - mean).std(axis=1, ddof=1, keepdims=True)
            return Normalized((x - mean) / (std + _LAYER_NORM_EPSILON), std, mean)
        # A vector of zeros becomes NaN, here as in SAELens: it has no direction to keep.
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.linalg.norm(x, axis=1, keepdims=True) / np.float32(np.sqrt(x.shape[1]))
            return Normalized(x / factor, factor, zero)


class ManualSae(ABC):
    """One SAE as formulas over its tensors, in float32.

    Attributes:
        architecture: as cfg.json has it.
        tensors: by name, in float32.
        decodes_latents_alone: the reconstruction is a function of the latents (and, where the
            config normalises, of the input's scale); False for skip transcoders and temporal
            SAEs, which add something that they compute from the input.
    """

    decodes_latents_alone: bool = True

    def __init__(self, architecture: str, tensors: Mapping[str, Floats]) -> None:
        self.architecture = architecture
        self.tensors = tensors

    @property
    def d_sae(self) -> int:
        """Number of latents."""
        return int(self.tensors["W_dec"].shape[0])

    @property
    def d_out(self) -> int:
        """Width of the reconstruction; d_in but for transcoders."""
        return int(self.tensors["W_dec"].shape[1])

    @abstractmethod
    def encode(self, x: Floats) -> Floats:
        """Latents [n, d_sae] of activations x [n, d_in].

        A temporal SAE takes the n vectors as the successive positions of one sequence. Where
        SAELens takes attention heads apart (hook_z), x may be [n, n_heads, d_head].
        """

    @abstractmethod
    def decode(self, latents: Floats, x: Floats | None = None) -> Floats:
        """Reconstructions [n, d_out] of latents [n, d_sae].

        Args:
            latents: as `encode` returns them.
            x: the activations they were encoded from; needed where the config normalises and
                where `decodes_latents_alone` is False.
        """

    @abstractmethod
    def switch_margin(self, x: Floats) -> Floats:
        """How far each latent [n, d_sae] is from where it turns on or off.

        Relative to the size of what was summed to decide it: the root of the sum of the squares of
        the terms x_i * w_i and of the biases. Rounding in float32 moves a pre-activation by about
        1e-7 of that, growing with the root of the number of terms; a latent much nearer to its
        switching point than that may be on in one correct implementation and off in another.
        """

    def run(self, x: Floats) -> tuple[Floats, Floats]:
        """Latents [n, d_sae] and reconstructions [n, d_out] of activations x [n, d_in]."""
        latents = self.encode(x)
        return latents, self.decode(latents, x)


def flattened(x: Floats) -> Floats:
    """Activations [n, d_in] in float32; attention heads [n, n_heads, d_head] side by side."""
    return np.asarray(x, dtype=np.float32).reshape(len(x), -1)


def size_of_terms(x: Floats, weights: Floats, *biases: Floats) -> Floats:
    """Root of the sum of squares of the terms of `x @ weights + bias`: [n, columns]."""
    squares = np.square(x) @ np.square(weights)
    for bias in biases:
        squares = squares + np.square(bias)
    return np.asarray(np.sqrt(squares))
