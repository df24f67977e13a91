"""Gated SAE (Rajamanoharan et al. 2024, arXiv:2404.16014).

    u       = (z - b_dec) W_enc
    pi_gate = u + b_gate                                   which latents are active (eq. 6)
    mag     = ReLU(u * exp(r_mag) + b_mag)                 how much; W_mag is tied (eq. 7)
    f       = H(pi_gate) * mag                             H: 1 where its argument is > 0
    z_hat   = f W_dec + b_dec
    L       = ||z - z_hat||^2 + lambda sum_i ReLU(pi_gate_i)
              + ||z - z_hat_frozen(ReLU(pi_gate))||^2      (eq. 8)

z_hat_frozen uses copies of W_dec and b_dec without gradient, so the auxiliary term trains the
gate alone. The gate's step passes no gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from manifests.recipe import GatedRecipe
from retrain.architecture import StepLoss, squared_error
from retrain.input_scale import InputScale


class GatedSae:
    """A Gated SAE in training; the encoder starts as the decoder's transpose."""

    def __init__(self, dictionary: Tensor, recipe: GatedRecipe) -> None:
        """Start from a dictionary [d_sae, d_in] of unit rows."""
        d_sae, d_in = dictionary.shape
        self.l1_coefficient = recipe.l1_coefficient
        self.W_dec = torch.nn.Parameter(dictionary.clone())
        self.W_enc = torch.nn.Parameter(dictionary.T.contiguous())
        self.b_gate = torch.nn.Parameter(dictionary.new_zeros(d_sae))
        self.r_mag = torch.nn.Parameter(dictionary.new_zeros(d_sae))
        self.b_mag = torch.nn.Parameter(dictionary.new_zeros(d_sae))
        self.b_dec = torch.nn.Parameter(dictionary.new_zeros(d_in))

    def parameters(self) -> list[torch.nn.Parameter]:
        """Everything that Adam changes."""
        return [self.W_enc, self.b_gate, self.r_mag, self.b_mag, self.W_dec, self.b_dec]

    def gate_and_latents(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The gate's pre-activations pi_gate and the latents f, both [vectors, d_sae]."""
        u = torch.addmm(-(self.b_dec @ self.W_enc), z, self.W_enc)
        pi_gate = u + self.b_gate
        magnitude = torch.addcmul(self.b_mag, u, self.r_mag.exp()).relu()
        return pi_gate, magnitude * (pi_gate > 0)

    def encode(self, z: Tensor) -> Tensor:
        """Latents [vectors, d_sae]."""
        return self.gate_and_latents(z)[1]

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled reconstruction [vectors, d_in]."""
        return torch.addmm(self.b_dec, latents, self.W_dec)

    def step_loss(self, z: Tensor) -> StepLoss:
        """Reconstruction, sparsity and auxiliary terms of equation 8."""
        pi_gate, latents = self.gate_and_latents(z)
        open_gate = pi_gate.relu()
        frozen = torch.addmm(self.b_dec.detach(), open_gate, self.W_dec.detach())
        loss = (
            squared_error(z, self.decode(latents))
            + self.l1_coefficient * open_gate.sum(dim=1).mean()
            + squared_error(z, frozen)
        )
        return StepLoss(loss=loss, l0=(latents.detach() > 0).sum() / len(z))

    def after_step(self) -> None:
        """Gated has no further constraints."""

    def exported(self, scale: InputScale) -> dict[str, Tensor]:
        """W_enc, b_gate, r_mag, b_mag, W_dec, b_dec for raw activations; there is no b_enc."""
        return {
            "W_enc": self.W_enc.detach(),
            "b_gate": scale.fold_latent_units(self.b_gate.detach()),
            "r_mag": self.r_mag.detach(),
            "b_mag": scale.fold_latent_units(self.b_mag.detach()),
            "W_dec": self.W_dec.detach(),
            "b_dec": scale.fold_b_dec(self.b_dec.detach()),
        }
