"""Temporal SAEs: what attention predicts from the context, and a sparse code of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from validators.manual.activations import Activation
from validators.manual.forward import Floats, ManualSae, Settings, flattened, size_of_terms

_EPSILON = np.float32(1e-6)


@dataclass(frozen=True)
class Attention:
    """How the latents of a context predict those of a position.

    Attributes:
        n_layers: layers, each predicting from what the ones before it left.
        n_heads: heads of each layer.
    """

    n_layers: int
    n_heads: int


class ManualTemporal(ManualSae):
    """x = predicted + novel, over the positions of one sequence (arXiv:2511.01836).

    With s = 1 / (4 d_in) and r = x - b_dec, each attention layer reads z = ReLU(s r W_enc) and,
    causally, z of the positions before; its rectified output p is scaled to the projection of r on
    p W_dec, added to the prediction and subtracted from r. The latents are the sparse code of what
    is left, activation(s r W_enc); x_hat = (latents + predicted) W_dec + b_dec. `b_dec` is not
    added where the weights are tied and it was not subtracted.
    """

    decodes_latents_alone = False

    def __init__(
        self,
        tensors: Mapping[str, Floats],
        settings: Settings,
        activation: Activation,
        attention: Attention,
    ) -> None:
        super().__init__("temporal", tensors)
        self.settings = settings
        self.activation = activation
        self.attention = attention

    def encode(self, x: Floats) -> Floats:
        """The novel code [n, d_sae] of the n positions of one sequence."""
        residual, _ = self._predicted(self._centred(x))
        return self.activation.latents(self._projected(residual))

    def decode(self, latents: Floats, x: Floats | None = None) -> Floats:
        """Reconstructions [n, d_in]: of the latents and of what x's context predicts."""
        assert x is not None, "a temporal SAE predicts from its input"
        w = self.tensors
        _, predicted = self._predicted(self._centred(x))
        adds_b_dec = "W_enc" in w or self.settings.subtracts_b_dec
        bias = w["b_dec"] if adds_b_dec else np.zeros_like(w["b_dec"])
        x_hat: Floats = np.asarray((latents + predicted) @ w["W_dec"] + bias, dtype=np.float32)
        return self.settings.normalized(flattened(x)).undo(x_hat)

    def switch_margin(self, x: Floats) -> Floats:
        """Distance of each latent [n, d_sae] from where it switches.

        Relative to the terms of both the input and the residual, since the rounding of what was
        subtracted is left in the residual.
        """
        centred = self._centred(x)
        residual, _ = self._predicted(centred)
        size = size_of_terms(np.hypot(centred, residual), self._encoder()) * self._scale()
        return self.activation.margin(self._projected(residual), size)

    def _centred(self, x: Floats) -> Floats:
        value = self.settings.normalized(flattened(x)).value
        return value - self.tensors["b_dec"] if self.settings.subtracts_b_dec else value

    def _encoder(self) -> Floats:
        w = self.tensors
        return w["W_enc"] if "W_enc" in w else w["W_dec"].T

    def _scale(self) -> np.float32:
        return np.float32(1 / (4 * self.d_out))

    def _projected(self, residual: Floats) -> Floats:
        return np.asarray((residual * self._scale()) @ self._encoder())

    def _predicted(self, centred: Floats) -> tuple[Floats, Floats]:
        """What no layer explains [n, d_in], and the predicted code [n, d_sae]."""
        residual = centred
        predicted = np.zeros((len(centred), self.d_sae), np.float32)
        for layer in range(self.attention.n_layers):
            code = np.maximum(self._projected(residual), np.float32(0))
            context = np.concatenate([np.zeros_like(code[:1]), code[:-1]])
            part = np.maximum(self._attend(layer, code, context), np.float32(0))
            written = part @ self.tensors["W_dec"]
            norm = np.linalg.norm(written, axis=1, keepdims=True) + _EPSILON
            share = (written * residual).sum(axis=1, keepdims=True) / np.square(norm)
            predicted = predicted + part * share
            residual = residual - share * written
        return residual, predicted

    def _attend(self, layer: int, code: Floats, context: Floats) -> Floats:
        """Causal attention of one layer, from the positions' codes to the context's: [n, d_sae]."""
        query = self._heads(self._linear(layer, "q_target", code))
        key = self._heads(self._linear(layer, "k_ctx", context))
        value = self._heads(self._linear(layer, "v_ctx", context))
        scores = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(query.shape[2]))
        future = np.triu(np.ones(scores.shape[1:], dtype=bool), k=1)
        scores = np.where(future, np.float32(-np.inf), scores)
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        weights = weights / weights.sum(axis=2, keepdims=True)
        mixed = (weights @ value).transpose(1, 0, 2).reshape(len(code), -1)
        return self._linear(layer, "c_proj", mixed)

    def _linear(self, layer: int, name: str, x: Floats) -> Floats:
        w = self.tensors
        place = f"attn_layers.{layer}.{name}"
        return np.asarray(x @ w[f"{place}.weight"].T + w[f"{place}.bias"])

    def _heads(self, x: Floats) -> Floats:
        """[n, n_heads * width] as [n_heads, n, width]."""
        return x.reshape(len(x), self.attention.n_heads, -1).transpose(1, 0, 2)
