"""Matching pursuit: latents picked one after the other, each for what is still unexplained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from validators.manual.activations import relative
from validators.manual.forward import Floats, ManualSae, Settings, flattened, size_of_terms


@dataclass(frozen=True)
class Stopping:
    """When the pursuit of one vector ends.

    Attributes:
        residual_threshold: as soon as the residual's norm is below it; at 0 or less, never.
        max_iterations: after so many picks at the latest.
        at_repetition: as soon as a pick makes no further latent active.
    """

    residual_threshold: float
    max_iterations: int
    at_repetition: bool


class ManualMatchingPursuit(ManualSae):
    """r = x - b_dec; again and again: i = argmax r . d_i, f_i += max(r . d_i, 0), r -= that * d_i.

    d_i are the rows of W_dec, with which the encoder is tied; x_hat = f W_dec + b_dec. Without
    `apply_b_dec_to_input`, b_dec is neither subtracted nor added.

    Mallat and Zhang 1993; as an SAE, Costa et al. 2025 (arXiv:2506.03093).
    """

    def __init__(
        self, tensors: Mapping[str, Floats], settings: Settings, stopping: Stopping
    ) -> None:
        super().__init__("matching_pursuit", tensors)
        self.settings = settings
        self.stopping = stopping

    def encode(self, x: Floats) -> Floats:
        """Latents [n, d_sae]."""
        return self._pursue(self._centred(x), None)[0]

    def decode(self, latents: Floats, x: Floats | None = None) -> Floats:
        """Reconstructions [n, d_in]."""
        x_hat = np.asarray(latents @ self.tensors["W_dec"])
        if self.settings.subtracts_b_dec:
            x_hat = x_hat + self.tensors["b_dec"]
        if self.settings.normalization == "none":
            return x_hat
        assert x is not None, "the scale of the input is needed to undo its normalisation"
        return self.settings.normalized(flattened(x)).undo(x_hat)

    def switch_margin(self, x: Floats) -> Floats:
        """One number per vector, for all its latents [n, d_sae]: a pick decides the later ones.

        The narrowest of all its decisions: by how much the best latent beat the second best, how
        far its value was above 0, and how far the residual's norm was from the threshold.
        """
        centred = self._centred(x)
        size = size_of_terms(centred, np.ascontiguousarray(self.tensors["W_dec"].T))
        _, margin = self._pursue(centred, size)
        return np.broadcast_to(margin[:, None], size.shape)

    def _centred(self, x: Floats) -> Floats:
        value = self.settings.normalized(flattened(x)).value
        return value - self.tensors["b_dec"] if self.settings.subtracts_b_dec else value

    def _pursue(self, centred: Floats, size: Floats | None) -> tuple[Floats, Floats]:
        """Latents [n, d_sae], and where `size` [n, d_sae] is given the narrowest decision [n]."""
        decoder, stop = self.tensors["W_dec"], self.stopping
        residual = centred.copy()
        latents = np.zeros((len(centred), self.d_sae), np.float32)
        margin = np.full(len(centred), np.inf, np.float32)
        running = np.arange(len(centred))
        for _ in range(stop.max_iterations):
            products = residual[running] @ decoder.T
            picked = products.argmax(axis=1)
            rows = np.arange(len(running))
            value = np.maximum(products[rows, picked], np.float32(0))
            repeated = (value == 0) | (latents[running, picked] != 0)
            latents[running, picked] += value
            residual[running] -= value[:, None] * decoder[picked]
            norm = np.linalg.norm(residual[running], axis=1)
            if size is not None:
                decision = np.minimum(
                    _lead(products, picked, size[running]),
                    relative(
                        np.abs(norm - np.float32(stop.residual_threshold)),
                        np.linalg.norm(centred[running], axis=1),
                    ),
                )
                margin[running] = np.minimum(margin[running], decision)
            ended = repeated & stop.at_repetition
            if stop.residual_threshold > 0:
                ended |= norm < stop.residual_threshold
            running = running[~ended]
            if not len(running):
                break
        return latents, margin


def _lead(products: Floats, picked: np.ndarray, size: Floats) -> Floats:
    """By how much each vector's best latent is ahead of the second best, and away from 0."""
    rows = np.arange(len(products))
    best, size_of_best = products[rows, picked], size[rows, picked]
    away_from_zero = np.abs(relative(best, size_of_best))
    if products.shape[1] == 1:
        return away_from_zero
    others = products.copy()
    others[rows, picked] = -np.inf
    second = others.argmax(axis=1)
    ahead = relative(best - products[rows, second], size_of_best + size[rows, second])
    # Below 0 nothing is added whichever is picked.
    return np.where(best > 0, np.minimum(ahead, away_from_zero), away_from_zero)
