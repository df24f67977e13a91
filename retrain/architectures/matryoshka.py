"""Matryoshka BatchTopK SAE (Bussmann et al. 2025, arXiv:2503.17547).

    f       = as BatchTopK                          over all d_sae latents
    z_hat_j = f[:m_j] W_dec[:m_j] + b_dec           inner dictionaries m_1 < m_2 < ... = d_sae
    L       = sum_j ||z - z_hat_j||^2 + the auxiliary loss of TopK on the whole dictionary

Each inner dictionary has to reconstruct by itself, so the first latents learn what is general.
With g_j the gradient of z_hat_j, the latents m_(j-1) to m_j take part in z_hat_j and all wider
ones, so what reaches them is g_j + g_(j+1) + ...
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor

from manifests.sae_recipes import MatryoshkaRecipe
from retrain.architectures.batchtopk import BatchTopkSae
from retrain.architectures.gradients import per_sae
from retrain.architectures.latents import DenseLatents, Latents
from retrain.architectures.products import multiply
from retrain.architectures.topk import Reconstruction


@dataclass(frozen=True)
class Ring:
    """The latents that one inner dictionary adds: values [saes, vectors, width] from `start` on."""

    values: Tensor
    start: int

    def transposed_product(
        self, x: Tensor, first: int, last: int, out: Tensor, *, onto: bool = False
    ) -> Tensor:
        """See `DecodedLatents`; zero outside of the ring."""
        if not onto:
            out.zero_()
        begin, end = max(first, self.start), min(last, self.start + self.values.shape[2])
        if begin < end:
            own = self.values[:, :, begin - self.start : end - self.start]
            multiply(own.mT, x, out=out[:, begin - first : end - first], onto=onto)
        return out


class MatryoshkaSae(BatchTopkSae):
    """Matryoshka SAEs in training; see the module for the equations."""

    def __init__(
        self, dictionary: Tensor, recipe: MatryoshkaRecipe, *, dead_after: int, micro_batch: int
    ) -> None:
        """Start from dictionaries [saes, d_sae, d_in] of unit rows."""
        super().__init__(dictionary, recipe, dead_after=dead_after, micro_batch=micro_batch)
        self._is_sparse = False
        self.rings = tuple(pairwise((0, *recipe.widths, self.d_sae)))

    def reconstruct(self, latents: Latents, z: Tensor, n_batch: int) -> Reconstruction:
        """All nested reconstructions of a batch and what they send back."""
        dense = cast(DenseLatents, latents)
        sums, errors = self.b_dec.unsqueeze(1).expand_as(z), []
        for first, last in self.rings:
            sums = torch.baddbmm(sums, dense.values[:, :, first:last], self.W_dec[:, first:last])
            errors.append(sums - z)
        upstream, terms = torch.zeros_like(z), []
        d_values = self._back[:, : z.shape[1]]
        for (first, last), error in zip(reversed(self.rings), reversed(errors), strict=True):
            upstream = torch.add(upstream, error, alpha=2 / n_batch)
            terms.append((Ring(dense.values[:, :, first:last], first), upstream))
            d_values[:, :, first:last] = torch.bmm(upstream, self.W_dec[:, first:last].mT)
        return Reconstruction(
            error=errors[-1],
            loss=torch.stack([per_sae(error) for error in errors]).sum(dim=0) / n_batch,
            decoder_terms=list(terms),
            d_pre=DenseLatents(d_values.mul_(dense.mask), dense.mask),
            d_b_dec=upstream.sum(dim=1),
        )
