"""JumpReLU SAE with straight-through gradients (Rajamanoharan et al. 2024, arXiv:2407.14435).

    f = pre H(pre - theta)                               H: 1 where its argument is > 0, else 0
    L = ||z - z_hat||^2 + lambda S                       mean over the batch
    S = L0 (the paper), sum_i f_i (l1), or (L0 / target - 1)^2 with the batch's mean L0

Neither f nor L0 = sum_i H(pre_i - theta_i) has a useful derivative in theta; in its place stand

    d f  / d theta = -(theta / eps) K((pre - theta) / eps)
    d L0 / d theta = -(1 / eps)     K((pre - theta) / eps)

with a kernel K of unit area and bandwidth eps. Only theta receives them, as in the paper.
theta is a parameter itself: as exp(log theta) it would move by at most a share of the learning
rate in each of Adam's steps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from manifests.sae_recipes import LearnedThreshold
from retrain.architectures.gradients import over_batch
from retrain.architectures.sae import Active, DenseSae
from retrain.input_scale import InputScale


class JumpreluSae(DenseSae):
    """JumpReLU SAEs in training; see the module for the equations."""

    def __init__(self, dictionary: Tensor, settings: LearnedThreshold, *, micro_batch: int) -> None:
        """Start from dictionaries [saes, d_sae, d_in] and one threshold for all latents."""
        super().__init__(dictionary, micro_batch=micro_batch)
        self.settings = settings
        self.threshold = dictionary.new_full(dictionary.shape[:2], settings.threshold_init)
        self.add_small(threshold=self.threshold)
        self._near = torch.empty_like(self._pre)
        self._batch_active: Tensor | None = None

    def bounds(self) -> Tensor:
        """Theta, [saes, 1, d_sae]."""
        return self.threshold.unsqueeze(1)

    def prepare(self, parts: list[Tensor]) -> None:
        """Count the active latents of a whole batch, on which the pull to the target depends."""
        if self.settings.sparsity == "target_l0":
            counts = [self.activate(self.pre_activations(z, self.b_enc)).count for z in parts]
            self._batch_active = torch.stack(counts).sum(dim=0)

    def back(self, pre: Tensor, active: Active, d_latents: Tensor, n_batch: int) -> Tensor:
        """D f where active; the pseudo-derivatives go to theta."""
        own, threshold = self.settings, self.threshold
        if own.sparsity == "l1":
            d_latents += self._weight() / n_batch
        near = self._kernel_of(pre)
        d_threshold = threshold * over_batch(near, d_latents)
        if own.sparsity != "l1":
            d_l0 = self._d_l0(active.count, n_batch)
            d_threshold = d_threshold + near.sum(dim=1) * d_l0.unsqueeze(1) / n_batch
        self.further["threshold"] = d_threshold / -own.bandwidth
        return d_latents.mul_(active.mask)

    def _kernel_of(self, pre: Tensor) -> Tensor:
        """K((pre - theta) / eps), written over scratch space."""
        near = self._near[:, : pre.shape[1]]
        torch.sub(pre, self.threshold.unsqueeze(1), out=near)
        if self.settings.kernel == "rectangle":
            torch.lt(near.abs_(), 0.5 * self.settings.bandwidth, out=near)
            return near
        near.div_(self.settings.bandwidth)
        return near.square_().mul_(-0.5).exp_().div_(math.sqrt(2 * math.pi))

    def _weight(self) -> Tensor:
        return self.settings.sparsity_coefficient * self.sparsity_scale

    def _d_l0(self, count: Tensor, n_batch: int) -> Tensor:
        """D (lambda S) / d L0, [saes]; the pull to a target is never warmed up."""
        own = self.settings
        if own.target_l0 is None:
            return self._weight().expand(len(count))
        distance = self._whole_batch(count) / n_batch / own.target_l0 - 1
        return 2 * own.sparsity_coefficient / own.target_l0 * distance

    def _whole_batch(self, count: Tensor) -> Tensor:
        return count if self._batch_active is None else self._batch_active

    def penalty(self, active: Active, n_batch: int) -> Tensor:
        """Lambda S; of a part of a batch, its share."""
        own = self.settings
        if own.sparsity == "l1":
            return active.latents.sum(dim=(1, 2)) / n_batch * self._weight()
        if own.target_l0 is None:
            return active.count / n_batch * self._weight()
        distance = self._whole_batch(active.count) / n_batch / own.target_l0 - 1
        share = active.latents.shape[1] / n_batch
        return own.sparsity_coefficient * distance.square() * share

    def after_step(self) -> None:
        """Keep thresholds at 0 or above: below, a latent could be active and negative."""
        self.threshold.clamp_(min=0)
        self._batch_active = None

    def exported(self, sae: int, scale: InputScale) -> dict[str, Tensor]:
        """W_enc, b_enc, W_dec, b_dec, threshold for raw activations."""
        return {
            **super().exported(sae, scale),
            "threshold": scale.fold_latent_units(self.threshold[sae]),
        }
