"""TopK SAE (Gao et al. 2024, arXiv:2406.04093).

    pre     = (z - b_dec) W_enc + b_enc                             [vectors, d_sae]
    f       = ReLU of the k largest entries of pre, 0 elsewhere
    z_hat   = f W_dec + b_dec
    L       = ||z - z_hat||^2 + alpha ||e - e_hat||^2               (section 2.3; appendix A.2)

e = z - z_hat without gradient, e_hat its reconstruction from the k_aux largest pre-activations
of the dead latents. z is scaled to unit mean norm, which stands in for the paper's division by
the variance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from manifests.recipe import TopkRecipe
from retrain.architecture import StepLoss, squared_error
from retrain.input_scale import InputScale


class TopkSae:
    """A TopK SAE in training; the encoder starts as the decoder's transpose."""

    def __init__(self, dictionary: Tensor, recipe: TopkRecipe, *, dead_after_steps: int) -> None:
        """Start from a dictionary [d_sae, d_in] of unit rows.

        A latent is dead once it fired in none of the last `dead_after_steps` batches.
        """
        d_sae, d_in = dictionary.shape
        self.k = recipe.k
        self.auxiliary_coefficient = recipe.auxiliary_coefficient
        self.auxiliary_k = recipe.auxiliary_k or max(1, d_in // 2)
        self.dead_after_steps = dead_after_steps
        self.W_dec = torch.nn.Parameter(dictionary.clone())
        self.W_enc = torch.nn.Parameter(dictionary.T.contiguous())
        self.b_enc = torch.nn.Parameter(dictionary.new_zeros(d_sae))
        self.b_dec = torch.nn.Parameter(dictionary.new_zeros(d_in))
        self.steps_silent = torch.zeros(d_sae, dtype=torch.int64, device=dictionary.device)

    def parameters(self) -> list[torch.nn.Parameter]:
        """Everything that Adam changes."""
        return [self.W_enc, self.b_enc, self.W_dec, self.b_dec]

    def pre_activations(self, z: Tensor) -> Tensor:
        """(z - b_dec) W_enc + b_enc, [vectors, d_sae].

        b_dec is multiplied on its own, since a gradient through z - b_dec would cost a further
        product with the whole batch.
        """
        return torch.addmm(self.b_enc - self.b_dec @ self.W_enc, z, self.W_enc)

    def encode(self, z: Tensor) -> Tensor:
        """Latents [vectors, d_sae], at most k of a row != 0."""
        return relu_top_k(self.pre_activations(z), self.k)

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled reconstruction [vectors, d_in]."""
        return torch.addmm(self.b_dec, latents, self.W_dec)

    def step_loss(self, z: Tensor) -> StepLoss:
        """Reconstruction loss, plus the auxiliary loss while there are dead latents."""
        pre = self.pre_activations(z)
        latents = relu_top_k(pre, self.k)
        z_hat = self.decode(latents)
        loss = squared_error(z, z_hat)
        fired = latents.detach() > 0
        if self.auxiliary_coefficient > 0:
            self.steps_silent += 1
            self.steps_silent[fired.any(dim=0)] = 0
            error = (z - z_hat).detach()
            auxiliary = self.auxiliary_loss(pre, error, self.steps_silent >= self.dead_after_steps)
            if auxiliary is not None:
                loss = loss + self.auxiliary_coefficient * auxiliary
        return StepLoss(loss=loss, l0=fired.sum() / len(z))

    def auxiliary_loss(self, pre: Tensor, error: Tensor, is_dead: Tensor) -> Tensor | None:
        """||e - e_hat||^2 with e_hat from the dead latents; None when fewer than k_aux are dead.

        Args:
            pre: pre-activations [vectors, d_sae].
            error: e, [vectors, d_in], without gradient.
            is_dead: [d_sae].
        """
        dead = is_dead.nonzero().squeeze(1)
        if len(dead) < self.auxiliary_k:
            return None
        latents = relu_top_k(pre.index_select(1, dead), self.auxiliary_k)
        return squared_error(error, latents @ self.W_dec.index_select(0, dead))

    def after_step(self) -> None:
        """TopK has no further constraints."""

    def exported(self, scale: InputScale) -> dict[str, Tensor]:
        """W_enc, b_enc, W_dec, b_dec for raw activations."""
        return {
            "W_enc": self.W_enc.detach(),
            "b_enc": scale.fold_latent_units(self.b_enc.detach()),
            "W_dec": self.W_dec.detach(),
            "b_dec": scale.fold_b_dec(self.b_dec.detach()),
        }


def relu_top_k(pre: Tensor, k: int) -> Tensor:
    """The k largest entries of each row, rectified, in place of everything else; same shape."""
    values, indices = pre.topk(k, dim=1, sorted=False)
    return torch.zeros_like(pre).scatter(1, indices, values.relu())
