"""What the training loop asks of an architecture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from retrain.input_scale import InputScale


@dataclass(frozen=True)
class StepLoss:
    """The loss of one batch (a scalar with gradients) and its mean l0 (a scalar without)."""

    loss: Tensor
    l0: Tensor


class TrainableSae(Protocol):
    """An SAE in the trainer's scaled units."""

    W_dec: torch.nn.Parameter

    def parameters(self) -> list[torch.nn.Parameter]:
        """Everything that Adam changes."""

    def step_loss(self, z: Tensor) -> StepLoss:
        """The loss of a batch [vectors, d_in] of scaled inputs."""

    def after_step(self) -> None:
        """Restore constraints other than the decoder's unit rows."""

    def encode(self, z: Tensor) -> Tensor:
        """Latents [vectors, d_sae] of scaled inputs."""

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled reconstruction [vectors, d_in]."""

    def exported(self, scale: InputScale) -> dict[str, Tensor]:
        """The tensors SAELens expects of the architecture, for raw activations."""


def squared_error(z: Tensor, z_hat: Tensor) -> Tensor:
    """||z - z_hat||^2 summed over the dimensions, mean over the vectors; a scalar."""
    return (z - z_hat).square().sum(dim=1).mean()
