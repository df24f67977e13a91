"""Gated SAE (Rajamanoharan et al. 2024, arXiv:2404.16014).

    u       = (z - b_dec) W_enc
    pi_gate = u + b_gate                                   which latents are active (eq. 6)
    mag     = ReLU(u exp(r_mag) + b_mag)                   how much; W_mag is tied (eq. 7)
    f       = H(pi_gate) mag                               H: 1 where its argument is > 0
    z_hat   = f W_dec + b_dec
    L       = ||z - z_hat||^2 + lambda sum_i ReLU(pi_gate_i)
              + ||z - z_frozen||^2                         (eq. 8), mean over the batch
    z_frozen = ReLU(pi_gate) W_dec + b_dec, with W_dec and b_dec as constants

The last term trains the gate alone. The gate's step passes no gradient. With g_frozen the gradient
of z_frozen, and all products elementwise:

    d pi_gate = (g_frozen W_dec^T + lambda / n) H(pi_gate)
    d mag     = (g W_dec^T) H(pi_gate) H(mag)
    d u       = d mag exp(r_mag) + d pi_gate
    d b_gate, d b_mag, d r_mag = sums over the batch of d pi_gate, d mag, d mag u exp(r_mag)

With `auxiliary_decoder: trained`, W_dec and b_dec of the last term are no constants, as in
SAELens' GatedTrainingSAE:

    d W_dec = f^T g + ReLU(pi_gate)^T g_frozen
    d b_dec has the sum of g_frozen over the batch beside the rest

The first is one product of twice as many vectors, f above ReLU(pi_gate) and g above g_frozen. They
are kept in the two halves of one array, so that nothing has to be moved for it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from manifests.sae_recipes import GatedRecipe
from retrain.architectures.gradients import OuterProducts, StepResult, over_batch, per_sae
from retrain.architectures.products import multiply
from retrain.architectures.sae import Sae
from retrain.input_scale import InputScale


class GatedSae(Sae):
    """Gated SAEs in training; see the module for the equations."""

    def __init__(self, dictionary: Tensor, recipe: GatedRecipe, *, micro_batch: int) -> None:
        """Start from dictionaries [saes, d_sae, d_in] of unit rows."""
        super().__init__(dictionary, micro_batch=micro_batch)
        self.l1_coefficient = recipe.l1_coefficient
        self.trains_decoder_twice = recipe.auxiliary_decoder == "trained"
        shape = dictionary.shape[:2]
        self.b_gate, self.r_mag, self.b_mag = (dictionary.new_zeros(shape) for _ in range(3))
        self.add_small(b_gate=self.b_gate, r_mag=self.r_mag, b_mag=self.b_mag)
        n_saes, _, d_in = dictionary.shape
        # Of the reconstruction and of the frozen one, in this order.
        self._decoded = dictionary.new_empty(n_saes, 2 * micro_batch, self.d_sae)
        self._error = dictionary.new_empty(n_saes, 2 * micro_batch, d_in)
        self._is_open = torch.empty_like(self._pre)
        self._is_active = torch.empty_like(self._pre)
        self._frozen_back = torch.empty_like(self._back)

    def step(self, z: Tensor, n_batch: int) -> StepResult:
        """See `Sae.step`."""
        n = z.shape[1]
        u = self.pre_activations(z, None)
        gain = self.r_mag.exp().unsqueeze(1)
        open_gate = torch.add(u, self.b_gate.unsqueeze(1), out=self._decoded[:, n : 2 * n])
        open_gate.clamp_(min=0)
        # Masks of numbers: products and sums with them need no conversion.
        is_open = torch.gt(open_gate, 0, out=self._is_open[:, :n])
        latents = torch.addcmul(self.b_mag.unsqueeze(1), u, gain, out=self._decoded[:, :n])
        latents.clamp_(min=0).mul_(is_open)
        is_active = torch.gt(latents, 0, out=self._is_active[:, :n])

        upstream = self.reconstruction_gradient(z, latents, n_batch)
        frozen_space = self._error[:, n : 2 * n]
        frozen = multiply(open_gate, self.W_dec, out=frozen_space, bias=self.b_dec)
        frozen.sub_(z).mul_(2 / n_batch)
        squared_error = per_sae(upstream) * (n_batch / 2) ** 2
        frozen_error = per_sae(frozen) * (n_batch / 2) ** 2
        weight = self.l1_coefficient / n_batch * self.sparsity_scale

        d_mag = self.through_decoder(upstream).mul_(is_active)
        radial = over_batch(latents, d_mag)
        d_gate = multiply(frozen, self.W_dec.mT, out=self._frozen_back[:, :n])
        decoded, errors = latents, upstream
        if self.trains_decoder_twice:
            decoded, errors = self._decoded[:, : 2 * n], self._error[:, : 2 * n]
            radial += over_batch(open_gate, d_gate)
        d_gate.add_(weight).mul_(is_open)
        loss = (squared_error + frozen_error) / n_batch + open_gate.sum(dim=(1, 2)) * weight
        d_b_gate, d_b_mag = d_gate.sum(dim=1), d_mag.sum(dim=1)
        d_u = torch.addcmul(d_gate, d_mag, gain, out=d_gate)
        d_r_mag = over_batch(d_mag, u) * gain.squeeze(1)
        _, d_b_dec = self.bias_gradients(errors, d_u)
        return StepResult(
            loss=loss,
            active=is_active.sum(dim=(1, 2)),
            squared_error=squared_error,
            power=per_sae(z),
            rows=OuterProducts(decoded, errors, d_u, self._centred[:, :n]),
            radial=radial,
            small={"b_dec": d_b_dec, "b_gate": d_b_gate, "r_mag": d_r_mag, "b_mag": d_b_mag},
        )

    def encode(self, z: Tensor) -> Tensor:
        """Latents [saes, vectors, d_sae]."""
        u = torch.bmm(z - self.b_dec.unsqueeze(1), self.W_enc.mT)
        is_open = u + self.b_gate.unsqueeze(1) > 0
        gain = self.r_mag.exp().unsqueeze(1)
        return torch.addcmul(self.b_mag.unsqueeze(1), u, gain).relu() * is_open

    def exported(self, sae: int, scale: InputScale) -> dict[str, Tensor]:
        """W_enc, b_gate, r_mag, b_mag, W_dec, b_dec for raw activations; there is no b_enc."""
        return {
            **super().exported(sae, scale),
            "b_gate": scale.fold_latent_units(self.b_gate[sae]),
            "r_mag": self.r_mag[sae],
            "b_mag": scale.fold_latent_units(self.b_mag[sae]),
        }
