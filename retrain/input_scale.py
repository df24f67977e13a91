"""The scaling of the inputs while training, and how it is folded into the exported weights.

The trainer sees z = (x - centre) / scale. Every architecture here is positively homogeneous: when
the input and all biases and thresholds grow by a factor, so do the latents. So the raw activations
x need no scaling at inference: encoder and decoder directions stay as they are, the encoder's
biases and thresholds are multiplied by `scale`, and b_dec becomes centre + scale * b_dec. The
exported latents are `scale` times the trainer's, in the units of the residual stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from manifests.errors import ReleaseError
from retrain.vectors import Vectors


class NoVariance(ReleaseError):
    """All training vectors are the same, so there is nothing to scale or to learn."""


@dataclass(frozen=True)
class InputScale:
    """z = (x - centre) / scale; `centre` is [d_in] float32, `scale` in units of x."""

    centre: Tensor
    scale: float

    def apply(self, x: Tensor) -> Tensor:
        """Raw activations [vectors, d_in] to the trainer's inputs."""
        return (x - self.centre.to(x)) / self.scale

    def apply_in_place(self, x: Tensor) -> None:
        """As `apply`, over `x` itself."""
        x.sub_(self.centre.to(x)).div_(self.scale)

    def fold_b_dec(self, b_dec: Tensor) -> Tensor:
        """The trainer's b_dec [d_in] as the bias for raw activations."""
        return self.centre.to(b_dec) + self.scale * b_dec

    def fold_latent_units(self, values: Tensor) -> Tensor:
        """Encoder biases or thresholds [d_sae], which scale as the latents do."""
        return self.scale * values


def fit_input_scale(x: Vectors, kind: Literal["none", "unit_mean_norm"]) -> InputScale:
    """The scaling that a recipe names, fitted on all training vectors.

    `unit_mean_norm`: centre = mean of x, scale = mean of ||x - centre|| over the vectors.
    `none`: the same centre, which is where b_dec starts, and scale 1. Sums are float64.

    Raises:
        NoVariance: every vector is the same.
    """
    total = torch.zeros(x.d_in, dtype=torch.float64)
    for chunk in x.chunks():
        total += chunk.to(torch.float64).sum(dim=0)
    centre = total / len(x)
    norms = torch.zeros((), dtype=torch.float64)
    for chunk in x.chunks():
        norms += (chunk.to(torch.float64) - centre).norm(dim=1).sum()
    mean_norm = float(norms) / len(x)
    if not mean_norm > 0:
        raise NoVariance(
            f"the {len(x)} training vectors are all the same",
            expected="completions that end in different activations",
            next_step="check data.pooling and the completions of the condition",
        )
    scale = mean_norm if kind == "unit_mean_norm" else 1.0
    return InputScale(centre=centre.to(torch.float32), scale=scale)
