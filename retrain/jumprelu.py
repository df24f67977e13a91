"""JumpReLU SAE with straight-through gradients (Rajamanoharan et al. 2024, arXiv:2407.14435).

    pre     = (z - b_dec) W_enc + b_enc
    f       = pre * H(pre - theta)                        H: 1 where its argument is > 0, else 0
    z_hat   = f W_dec + b_dec
    L       = ||z - z_hat||^2 + lambda (L0 / target_l0 - 1)^2,    L0 = mean over vectors of
                                                                  sum_i H(pre_i - theta_i)

Neither f nor L0 has a useful derivative in theta; in its place stand the pseudo-derivatives

    d f  / d theta = -(theta / eps) K((pre - theta) / eps)
    d L0 / d theta = -(1 / eps)     K((pre - theta) / eps)

with a kernel K of unit area and bandwidth eps. Only theta receives them, as in the paper.
The paper's sparsity term is lambda L0; the quadratic one takes a target in place of a
coefficient that has to be searched for. theta is a parameter itself: as exp(log theta) it would
move by at most a share of the learning rate in each of Adam's steps.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from manifests.recipe import JumpreluRecipe
from retrain.architecture import StepLoss, squared_error
from retrain.input_scale import InputScale

Kernel = Literal["rectangle", "gaussian"]


def kernel_value(u: Tensor, kernel: Kernel) -> Tensor:
    """K(u): 1 on (-1/2, 1/2) and 0 elsewhere, or the standard normal density."""
    if kernel == "rectangle":
        return (u.abs() < 0.5).to(u)
    return torch.exp(-0.5 * u.square()) / math.sqrt(2 * math.pi)


class _JumpAndCount(torch.autograd.Function):
    """pre, theta -> (f, number of active latents of each vector), with pseudo-derivatives."""

    @staticmethod
    def forward(
        ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float, kernel: Kernel
    ) -> tuple[Tensor, Tensor]:
        is_active = pre > threshold
        ctx.save_for_backward(pre, threshold, is_active)
        ctx.bandwidth, ctx.kernel = bandwidth, kernel
        return pre * is_active, is_active.sum(dim=1).to(pre)

    @staticmethod
    def backward(ctx: Any, grad_f: Tensor, grad_count: Tensor) -> tuple[Tensor, Tensor, None, None]:
        pre, threshold, is_active = ctx.saved_tensors
        near = kernel_value((pre - threshold) / ctx.bandwidth, ctx.kernel)
        # Sums over the batch as products: d theta = -(theta sum(K grad_f) + sum(K grad_L0)) / eps.
        through_f = torch.linalg.vecdot(near, grad_f, dim=0)
        through_count = grad_count @ near
        grad_threshold = -(threshold * through_f + through_count) / ctx.bandwidth
        return grad_f * is_active, grad_threshold, None, None


def jump_and_count(
    pre: Tensor, threshold: Tensor, *, bandwidth: float, kernel: Kernel
) -> tuple[Tensor, Tensor]:
    """JumpReLU and its count.

    Args:
        pre: pre-activations [vectors, d_sae].
        threshold: [d_sae], in the units of `pre`.
        bandwidth: eps, in the same units.
        kernel: K.

    Returns:
        The latents [vectors, d_sae], and how many are active in each vector [vectors].
    """
    latents, counts = _JumpAndCount.apply(pre, threshold, bandwidth, kernel)  # type: ignore[no-untyped-call]
    return latents, counts


class JumpreluSae:
    """A JumpReLU SAE in training; the encoder starts as the decoder's transpose."""

    def __init__(self, dictionary: Tensor, recipe: JumpreluRecipe) -> None:
        """Start from a dictionary [d_sae, d_in] of unit rows and one threshold for all latents."""
        d_sae, d_in = dictionary.shape
        self.settings = recipe.learned()
        self.W_dec = torch.nn.Parameter(dictionary.clone())
        self.W_enc = torch.nn.Parameter(dictionary.T.contiguous())
        self.b_enc = torch.nn.Parameter(dictionary.new_zeros(d_sae))
        self.b_dec = torch.nn.Parameter(dictionary.new_zeros(d_in))
        self.threshold = torch.nn.Parameter(
            dictionary.new_full((d_sae,), self.settings.threshold_init)
        )

    def parameters(self) -> list[torch.nn.Parameter]:
        """Everything that Adam changes."""
        return [self.W_enc, self.b_enc, self.W_dec, self.b_dec, self.threshold]

    def _jump_and_count(self, z: Tensor) -> tuple[Tensor, Tensor]:
        pre = torch.addmm(self.b_enc - self.b_dec @ self.W_enc, z, self.W_enc)
        return jump_and_count(
            pre, self.threshold, bandwidth=self.settings.bandwidth, kernel=self.settings.kernel
        )

    def encode(self, z: Tensor) -> Tensor:
        """Latents [vectors, d_sae]: 0, or a pre-activation above its threshold."""
        return self._jump_and_count(z)[0]

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled reconstruction [vectors, d_in]."""
        return torch.addmm(self.b_dec, latents, self.W_dec)

    def step_loss(self, z: Tensor) -> StepLoss:
        """Reconstruction loss plus the quadratic pull of L0 towards its target."""
        latents, counts = self._jump_and_count(z)
        l0 = counts.mean()
        sparsity = (l0 / self.settings.target_l0 - 1).square()
        loss = (
            squared_error(z, self.decode(latents)) + self.settings.sparsity_coefficient * sparsity
        )
        return StepLoss(loss=loss, l0=l0.detach())

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep thresholds at 0 or above: below, a latent could be active and negative."""
        self.threshold.clamp_(min=0)

    def exported(self, scale: InputScale) -> dict[str, Tensor]:
        """W_enc, b_enc, W_dec, b_dec, threshold for raw activations."""
        return {
            "W_enc": self.W_enc.detach(),
            "b_enc": scale.fold_latent_units(self.b_enc.detach()),
            "W_dec": self.W_dec.detach(),
            "b_dec": scale.fold_b_dec(self.b_dec.detach()),
            "threshold": scale.fold_latent_units(self.threshold.detach()),
        }
