"""BatchTopK SAE (Bussmann et al. 2024, arXiv:2412.06410).

    f = ReLU of the k n largest entries of pre over the whole batch of n vectors, 0 elsewhere
    L = as TopK

So one vector may have more active latents than another. At inference there is no batch: a latent
is active above one threshold for all of them, the mean over batches of the smallest active entry
(equation 10), here a running mean. It is saved as a JumpReLU SAE, as SAELens does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from manifests.sae_recipes import BatchTopkRecipe
from retrain.architectures.gradients import StepResult
from retrain.architectures.latents import DenseLatents, Latents, SparseLatents
from retrain.architectures.topk import TopkSae
from retrain.input_scale import InputScale


class BatchTopkSae(TopkSae):
    """BatchTopK SAEs in training; see the module for the equations."""

    def __init__(
        self, dictionary: Tensor, recipe: BatchTopkRecipe, *, dead_after: int, micro_batch: int
    ) -> None:
        """Start from dictionaries [saes, d_sae, d_in] of unit rows."""
        super().__init__(dictionary, recipe, dead_after=dead_after, micro_batch=micro_batch)
        self.threshold_rate = recipe.threshold_rate
        # Not a number until the first batch gives one.
        self.threshold = dictionary.new_full(dictionary.shape[:1], float("nan"))

    def select(self, pre: Tensor) -> Latents:
        """The k n largest entries of pre [saes, n, d_sae] of each SAE, rectified."""
        n_saes, n, d_sae = pre.shape
        values, places = pre.reshape(n_saes, n * d_sae).topk(self.k * n, dim=1, sorted=False)
        values.relu_()
        if self._is_sparse:
            latents: Latents = self._sparse(values[0], places[0], n)
        else:
            dense = pre.new_zeros(n_saes, n * d_sae).scatter_(1, places, values)
            dense = dense.view(n_saes, n, d_sae)
            latents = DenseLatents(dense, (dense > 0).to(dense))
        self._move_threshold(latents.smallest())
        return latents

    def _sparse(self, values: Tensor, places: Tensor, n_vectors: int) -> SparseLatents:
        """From values [chosen] at places vector * d_sae + latent."""
        places, order = places.sort()
        vectors = torch.div(places, self.d_sae, rounding_mode="floor")
        ends = torch.zeros(n_vectors + 1, dtype=torch.int64)
        torch.cumsum(torch.bincount(vectors, minlength=n_vectors), dim=0, out=ends[1:])
        latents = places - vectors * self.d_sae
        return SparseLatents(values[order], latents, vectors, ends, self.d_sae)

    def _move_threshold(self, smallest: Tensor) -> None:
        """Running mean of each batch's smallest active entry [saes]; infinite: none was active."""
        moved = torch.lerp(self.threshold, smallest, self.threshold_rate)
        moved = torch.where(self.threshold.isnan(), smallest, moved)
        self.threshold.copy_(torch.where(smallest.isinf(), self.threshold, moved))

    def step(self, z: Tensor, n_batch: int) -> StepResult:
        """See `Sae.step`; the batch has to be whole, since its latents compete."""
        assert z.shape[1] == n_batch, "BatchTopK chooses over the whole batch"
        return super().step(z, n_batch)

    def encode(self, z: Tensor) -> Tensor:
        """Latents [saes, vectors, d_sae] above the running threshold."""
        centred = z - self.b_dec.unsqueeze(1)
        pre = torch.baddbmm(self.b_enc.unsqueeze(1), centred, self.W_enc.mT)
        return pre * (pre > self._known_threshold()[:, None, None])

    def _known_threshold(self) -> Tensor:
        """[saes]; 0 where no latent has ever been active."""
        return self.threshold.nan_to_num(nan=0.0)

    def state(self) -> dict[str, Tensor]:
        """The running threshold [saes] as well."""
        return {**super().state(), "threshold": self.threshold}

    def exported(self, sae: int, scale: InputScale) -> dict[str, Tensor]:
        """The tensors of a JumpReLU SAE: the same threshold for every latent."""
        tensors = super().exported(sae, scale)
        threshold = self._known_threshold()[sae].expand(self.d_sae)
        return {**tensors, "threshold": scale.fold_latent_units(threshold)}
