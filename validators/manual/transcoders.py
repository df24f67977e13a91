"""Transcoders: from the activations at one place to those at another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from validators.manual.activations import Activation
from validators.manual.autoencoders import ManualAutoencoder
from validators.manual.forward import Floats, Settings, flattened


class ManualTranscoder(ManualAutoencoder):
    """f = activation(x W_enc + b_enc), y_hat = f W_dec + b_dec [n, d_out].

    A normalised input is not undone at the output, which has a scale of its own. A skip transcoder
    adds x W_skip^T, of the input as it came (Paulo et al. 2025, arXiv:2501.18823).
    """

    def __init__(
        self,
        architecture: str,
        tensors: Mapping[str, Floats],
        settings: Settings,
        activation: Activation,
    ) -> None:
        super().__init__(architecture, tensors, settings, activation)
        self.decodes_latents_alone = "W_skip" not in tensors

    def decode(self, latents: Floats, x: Floats | None = None) -> Floats:
        """Outputs [n, d_out]; a skip transcoder needs x [n, d_in]."""
        w = self.tensors
        y_hat = np.asarray(latents @ w["W_dec"] + w["b_dec"])
        if self.decodes_latents_alone:
            return y_hat
        assert x is not None, "a skip transcoder adds a function of its input"
        return np.asarray(y_hat + flattened(x) @ w["W_skip"].T)
