"""Autoencoders with one linear encoder: standard, TopK, AbsTopK, JumpReLU; and gated ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from validators.manual.activations import Activation, relative
from validators.manual.forward import Floats, ManualSae, Settings, flattened, size_of_terms


class ManualAutoencoder(ManualSae):
    """f = activation((x - b_dec) W_enc + b_enc), x_hat = f W_dec + b_dec.

    `b_dec` is subtracted where the config says `apply_b_dec_to_input`, x normalised before and
    x_hat scaled back where it says `normalize_activations`. With `rescale_acts_by_decoder_norm`
    the pre-activations are multiplied by the norms of the decoder's rows before the activation,
    and the latents divided by them before decoding: as if the decoder had rows of norm 1.
    """

    def __init__(
        self,
        architecture: str,
        tensors: Mapping[str, Floats],
        settings: Settings,
        activation: Activation,
        *,
        rescales_by_decoder_norm: bool = False,
    ) -> None:
        super().__init__(architecture, tensors)
        self.settings = settings
        self.activation = activation
        self.rescales_by_decoder_norm = rescales_by_decoder_norm

    def encode(self, x: Floats) -> Floats:
        """Latents [n, d_sae]."""
        w = self.tensors
        pre = self._centred(x) @ w["W_enc"] + w["b_enc"]
        return self.activation.latents(self._rescaled(pre))

    def decode(self, latents: Floats, x: Floats | None = None) -> Floats:
        """Reconstructions [n, d_in]."""
        w = self.tensors
        if self.rescales_by_decoder_norm:
            latents = latents / self._decoder_norms()
        x_hat = latents @ w["W_dec"] + w["b_dec"]
        if self.settings.normalization == "none":
            return x_hat
        assert x is not None, "the scale of the input is needed to undo its normalisation"
        return self.settings.normalized(flattened(x)).undo(x_hat)

    def switch_margin(self, x: Floats) -> Floats:
        """Distance of each latent [n, d_sae] from where it switches."""
        w, centred = self.tensors, self._centred(x)
        pre = centred @ w["W_enc"] + w["b_enc"]
        size = size_of_terms(centred, w["W_enc"], w["b_enc"])
        return self.activation.margin(self._rescaled(pre), self._rescaled(size))

    def _centred(self, x: Floats) -> Floats:
        value = self.settings.normalized(flattened(x)).value
        return value - self.tensors["b_dec"] if self.settings.subtracts_b_dec else value

    def _rescaled(self, pre: Floats) -> Floats:
        return pre * self._decoder_norms() if self.rescales_by_decoder_norm else pre

    def _decoder_norms(self) -> Floats:
        return np.asarray(np.linalg.norm(self.tensors["W_dec"], axis=1))


class ManualGated(ManualAutoencoder):
    """f = 1[gate > 0] * ReLU(magnitude), with one matrix for both.

    gate = (x - b_dec) W_enc + b_gate; magnitude = exp(r_mag) * ((x - b_dec) W_enc) + b_mag.
    Rajamanoharan et al. 2024 (arXiv:2404.16014), equations 6 and 7.
    """

    def encode(self, x: Floats) -> Floats:
        """Latents [n, d_sae]."""
        gate, magnitude = self._gate_and_magnitude(self._centred(x))
        return self.activation.latents(magnitude) * (gate > 0)

    def switch_margin(self, x: Floats) -> Floats:
        """Distance of each latent [n, d_sae] from where its gate or its magnitude switches."""
        w, centred = self.tensors, self._centred(x)
        gate, magnitude = self._gate_and_magnitude(centred)
        size = size_of_terms(centred, w["W_enc"])
        opened = relative(gate, np.hypot(size, w["b_gate"]))
        positive = relative(magnitude, np.hypot(size * self._magnitude_scale(), w["b_mag"]))
        return np.abs(np.minimum(opened, positive))

    def _gate_and_magnitude(self, centred: Floats) -> tuple[Floats, Floats]:
        w, projected = self.tensors, centred @ self.tensors["W_enc"]
        return projected + w["b_gate"], projected * self._magnitude_scale() + w["b_mag"]

    def _magnitude_scale(self) -> Floats:
        # What overflows is infinite in the latents as well, and is reported there.
        with np.errstate(over="ignore"):
            return np.exp(self.tensors["r_mag"])
