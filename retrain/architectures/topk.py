"""TopK SAE (Gao et al. 2024, arXiv:2406.04093).

    f = ReLU of the k largest entries of pre, 0 elsewhere
    L = ||z - z_hat||^2 + alpha s ||e - e_hat||^2          mean over the batch (appendix A.2)

e = z - z_hat without gradient; e_hat = f_dead W_dec, where f_dead has the k_aux largest
pre-activations of the dead latents. s = min(1, dead / k_aux) keeps a few dead latents from being
pushed as hard as many. z is scaled to unit mean norm, which stands in for the paper's division by
the variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from manifests.sae_recipes import TopkRecipe
from retrain.architectures.gradients import StepResult, per_sae
from retrain.architectures.latents import (
    DecodedLatents,
    DenseLatents,
    LatentProducts,
    Latents,
    SparseLatents,
)
from retrain.architectures.sae import Sae
from retrain.input_scale import InputScale


@dataclass(frozen=True)
class Reconstruction:
    """How well the latents reconstruct a batch, and the gradients of that.

    Attributes:
        error: z_hat - z, [saes, vectors, d_in].
        loss: [saes].
        decoder_terms: latents, and the gradient of what they decode to [saes, vectors, d_in].
        d_pre: gradient of the pre-activations.
        d_b_dec: gradient of b_dec as it is added to the output, [saes, d_in].
    """

    error: Tensor
    loss: Tensor
    decoder_terms: list[tuple[DecodedLatents, Tensor]]
    d_pre: Latents
    d_b_dec: Tensor


class TopkSae(Sae):
    """TopK SAEs in training; see the module for the equations."""

    def __init__(
        self, dictionary: Tensor, recipe: TopkRecipe, *, dead_after: int, micro_batch: int
    ) -> None:
        """Start from dictionaries [saes, d_sae, d_in] of unit rows.

        A latent is dead once it fired in none of the last `dead_after` batches.
        """
        super().__init__(dictionary, micro_batch=micro_batch)
        d_in = dictionary.shape[2]
        self.k = recipe.k
        self.auxiliary_coefficient = recipe.auxiliary_coefficient
        self.auxiliary_k = min(recipe.auxiliary_k or max(1, d_in // 2), self.d_sae)
        self.dead_after = dead_after
        self.add_small(b_enc=dictionary.new_zeros(dictionary.shape[:2]))
        self.silent = torch.zeros(dictionary.shape[:2], dtype=torch.int64, device=dictionary.device)
        self._fired = torch.zeros_like(self.silent, dtype=torch.bool)
        self._is_sparse = len(dictionary) == 1 and not dictionary.is_cuda
        self._auxiliary_error = torch.empty_like(self._error)

    def select(self, pre: Tensor) -> Latents:
        """The k largest entries of each row of pre [saes, vectors, d_sae], rectified."""
        return self._largest(pre, self.k)

    def _largest(self, pre: Tensor, k: int) -> Latents:
        values, latents = pre.topk(k, dim=2, sorted=False)
        values.relu_()
        if self._is_sparse:
            n = pre.shape[1]
            ends = torch.arange(0, n * k + 1, k)
            vectors = torch.arange(n).unsqueeze(1).expand(n, k).flatten()
            return SparseLatents(values.flatten(), latents.flatten(), vectors, ends, self.d_sae)
        dense = torch.zeros_like(pre).scatter_(2, latents, values)
        return DenseLatents(dense, (dense > 0).to(dense))

    def step(self, z: Tensor, n_batch: int) -> StepResult:
        """See `Sae.step`."""
        n = z.shape[1]
        pre = self.pre_activations(z, self.b_enc)
        latents = self.select(pre)
        made = self.reconstruct(latents, z, n_batch)
        decoder_terms, encoder_terms = made.decoder_terms, [made.d_pre]
        loss, d_bias, radial = made.loss, made.d_pre.sums(), latents.times(made.d_pre)
        auxiliary = self._auxiliary(pre, made.error, n_batch)
        if auxiliary is not None:
            dead, dead_upstream, dead_loss = auxiliary
            d_dead = dead.gradient(dead_upstream, self.W_dec)
            decoder_terms = [*decoder_terms, (dead, dead_upstream)]
            encoder_terms.append(d_dead)
            d_bias = d_bias + d_dead.sums()
            radial = radial + dead.times(d_dead)
            loss = loss + dead_loss
        self._fired |= latents.fired()
        through_encoder = torch.bmm(d_bias.unsqueeze(1), self.W_enc).squeeze(1)
        return StepResult(
            loss=loss,
            active=latents.n_active(),
            squared_error=per_sae(made.error),
            power=per_sae(z),
            rows=LatentProducts(tuple(decoder_terms), tuple(encoder_terms), self._centred[:, :n]),
            radial=radial,
            small={"b_enc": d_bias, "b_dec": made.d_b_dec - through_encoder},
        )

    def reconstruct(self, latents: Latents, z: Tensor, n_batch: int) -> Reconstruction:
        """The reconstruction of a batch and what it sends back."""
        error = latents.decode(self.W_dec, self.b_dec, self._error[:, : z.shape[1]]).sub_(z)
        upstream = error * (2 / n_batch)
        return Reconstruction(
            error=error,
            loss=per_sae(error) / n_batch,
            decoder_terms=[(latents, upstream)],
            d_pre=latents.gradient(upstream, self.W_dec),
            d_b_dec=upstream.sum(dim=1),
        )

    def _auxiliary(
        self, pre: Tensor, error: Tensor, n_batch: int
    ) -> tuple[Latents, Tensor, Tensor] | None:
        """Dead latents, gradient of what they decode to, and loss; None where there are none.

        Args:
            pre: pre-activations [saes, vectors, d_sae].
            error: z_hat - z, [saes, vectors, d_in].
            n_batch: vectors of the whole batch.
        """
        if self.auxiliary_coefficient == 0:
            return None
        is_dead = self.silent >= self.dead_after
        # On a GPU asking would wait for it, and a recorded graph cannot branch.
        if not pre.is_cuda and not bool(is_dead.any()):
            return None
        dead = self._largest(
            pre.masked_fill(~is_dead.unsqueeze(1), float("-inf")), self.auxiliary_k
        )
        share = (is_dead.sum(dim=1) / self.auxiliary_k).clamp(max=1)
        upstream = dead.decode(self.W_dec, None, self._auxiliary_error[:, : pre.shape[1]])
        upstream += error
        weight = self.auxiliary_coefficient / n_batch * share
        loss = per_sae(upstream) * weight
        return dead, upstream.mul_((2 * weight)[:, None, None]), loss

    def after_step(self) -> None:
        """Count for how many batches each latent has been silent."""
        self.silent.add_(1).masked_fill_(self._fired, 0)
        self._fired.zero_()

    def state(self) -> dict[str, Tensor]:
        """Batches since a latent fired, [saes, d_sae]."""
        return {"silent": self.silent}

    def encode(self, z: Tensor) -> Tensor:
        """Latents [saes, vectors, d_sae], at most k of a row != 0."""
        centred = z - self.b_dec.unsqueeze(1)
        pre = torch.baddbmm(self.b_enc.unsqueeze(1), centred, self.W_enc.mT)
        values, latents = pre.topk(self.k, dim=2, sorted=False)
        return torch.zeros_like(pre).scatter_(2, latents, values.relu_())

    def exported(self, sae: int, scale: InputScale) -> dict[str, Tensor]:
        """W_enc, b_enc, W_dec, b_dec for raw activations."""
        return {
            **super().exported(sae, scale),
            "b_enc": scale.fold_latent_units(self.b_enc[sae]),
        }
