"""Standard SAE: ReLU with an L1 term (Bricken et al. 2023, "Towards Monosemanticity").

    f = ReLU(pre)
    L = ||z - z_hat||^2 + lambda sum_i f_i              mean over the batch

The decoder's rows keep length 1, so the L1 term cannot be evaded by growing them.

The legacy JumpReLU of the deception study is the same function in another file: its thresholds
never left 0, since nothing gave them a gradient. It is kept for comparison, and saved with those
zeros, as it was published.
"""

from __future__ import annotations

import torch
from torch import Tensor

from retrain.architectures.sae import Active, DenseSae
from retrain.input_scale import InputScale


class StandardSae(DenseSae):
    """ReLU SAEs in training; see the module for the equations."""

    def __init__(self, dictionary: Tensor, *, l1_coefficient: float, micro_batch: int) -> None:
        """Start from dictionaries [saes, d_sae, d_in] of unit rows; lambda may be 0."""
        super().__init__(dictionary, micro_batch=micro_batch)
        self.l1_coefficient = l1_coefficient

    def bounds(self) -> float:
        """0: ReLU."""
        return 0.0

    def back(self, pre: Tensor, active: Active, d_latents: Tensor, n_batch: int) -> Tensor:  # noqa: ARG002
        """(d f + lambda / n) where pre > 0."""
        d_latents += self.l1_coefficient / n_batch * self.sparsity_scale
        return d_latents.mul_(active.mask)

    def penalty(self, active: Active, n_batch: int) -> Tensor:
        """Lambda times the mean sum of the latents."""
        weight = self.l1_coefficient / n_batch * self.sparsity_scale
        return active.latents.sum(dim=(1, 2)) * weight


class LegacyJumpreluSae(StandardSae):
    """JumpReLU whose threshold stays at 0, which makes it a ReLU."""

    def exported(self, sae: int, scale: InputScale) -> dict[str, Tensor]:
        """The tensors of a JumpReLU SAE, with a threshold of zeros."""
        tensors = super().exported(sae, scale)
        return {**tensors, "threshold": torch.zeros_like(tensors["b_enc"])}
