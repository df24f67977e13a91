"""An SAE from its two files by plain arithmetic, independent of SAELens, torch and the trainer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from validators.manual.activations import Activation, Jumping, Largest, Rectified
from validators.manual.autoencoders import ManualAutoencoder, ManualGated
from validators.manual.forward import (
    Floats,
    ManualSae,
    Normalization,
    Settings,
    UnknownToManualPath,
)
from validators.manual.matching_pursuit import ManualMatchingPursuit, Stopping
from validators.manual.temporal import Attention, ManualTemporal
from validators.manual.transcoders import ManualTranscoder
from validators.saelens.format import INFERENCE_ARCHITECTURES, JUMPRELU, TOPK, TRANSCODERS

__all__ = ["ManualSae", "UnknownToManualPath", "manual_sae"]

# SAELens accepts these two and does nothing for them at inference.
_UNFOLDED = ("expected_average_only_in", "covariance_whitening")


def manual_sae(cfg: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> ManualSae:
    """Build the manual path from a parsed cfg.json and the stored tensors.

    Args:
        cfg: cfg.json; a key that changes the arithmetic is read from it, never assumed.
        tensors: those of the architecture, by name; computed with in float32.

    Raises:
        UnknownToManualPath: the architecture, or a setting that changes the arithmetic, is none
            that there is a formula for.
    """
    architecture = cfg.get("architecture")
    if architecture not in INFERENCE_ARCHITECTURES:
        raise UnknownToManualPath(
            f"there is no formula for the architecture {architecture!r:.60}",
            expected=", ".join(INFERENCE_ARCHITECTURES),
        )
    weights = {name: np.asarray(tensor, dtype=np.float32) for name, tensor in tensors.items()}
    settings = _settings(cfg, architecture)
    rescales = _flag(cfg, "rescale_acts_by_decoder_norm", absent=False)
    if rescales and architecture not in TOPK:
        raise UnknownToManualPath(
            f"rescale_acts_by_decoder_norm means nothing for {architecture}",
            expected=" or ".join(TOPK),
        )
    if architecture == "gated":
        return ManualGated(architecture, weights, settings, Rectified())
    if architecture == "matching_pursuit":
        return ManualMatchingPursuit(weights, settings, _stopping(cfg, weights))
    if architecture == "temporal":
        attention = Attention(n_layers=_count(cfg, "n_attn_layers"), n_heads=_count(cfg, "n_heads"))
        return ManualTemporal(weights, settings, _novelty(cfg, weights), attention)
    activation = _activation(cfg, architecture, weights)
    if architecture in TRANSCODERS:
        return ManualTranscoder(architecture, weights, settings, activation)
    return ManualAutoencoder(
        architecture, weights, settings, activation, rescales_by_decoder_norm=rescales
    )


def _settings(cfg: Mapping[str, Any], architecture: str) -> Settings:
    known: tuple[Normalization, ...] = ("none", "layer_norm", "constant_norm_rescale")
    if architecture == "temporal":
        known = (*known, "constant_scalar_rescale")
    normalization = cfg.get("normalize_activations", "none")
    if normalization in _UNFOLDED:
        raise UnknownToManualPath(
            f"there is no formula for normalize_activations: {normalization!r}, for which SAELens "
            "does nothing when the SAE is used",
            expected="'none', with the scaling folded into the weights",
        )
    if normalization not in known:
        raise UnknownToManualPath(
            f"there is no formula for normalize_activations: {normalization!r:.60}",
            expected=", ".join(map(repr, known)),
        )
    reshaped = cfg.get("reshape_activations", "none")
    if reshaped != "none" and (reshaped != "hook_z" or architecture in TRANSCODERS):
        raise UnknownToManualPath(
            f"there is no formula for reshape_activations: {reshaped!r:.60} of a {architecture}",
            expected="'none', or 'hook_z' for an autoencoder",
        )
    subtracts = _flag(cfg, "apply_b_dec_to_input")
    if subtracts and architecture in TRANSCODERS:
        raise UnknownToManualPath(
            "apply_b_dec_to_input means nothing for a transcoder, whose b_dec is of its output",
            expected="false",
        )
    scalar = 1.0
    if normalization == "constant_scalar_rescale":
        scalar = _number(cfg, "activation_normalization_factor")
    return Settings(
        subtracts_b_dec=subtracts,
        normalization=cast(Normalization, normalization),
        scalar=scalar,
    )


def _activation(
    cfg: Mapping[str, Any], architecture: str, weights: Mapping[str, Floats]
) -> Activation:
    if architecture in TOPK:
        k = _k(cfg, "k", d_sae=len(weights["W_dec"]))
        return Largest(k, by_magnitude=architecture == "abstopk")
    if architecture in JUMPRELU:
        return Jumping(weights["threshold"])
    return Rectified()


def _novelty(cfg: Mapping[str, Any], weights: Mapping[str, Floats]) -> Activation:
    """The activation of a temporal SAE's novel code; without kval_topk TopK is a ReLU."""
    kind = cfg.get("sae_diff_type")
    if kind not in ("relu", "topk"):
        raise UnknownToManualPath(f"sae_diff_type is {kind!r:.60}", expected="'relu' or 'topk'")
    if kind == "relu" or cfg.get("kval_topk") is None:
        return Rectified()
    return Largest(_k(cfg, "kval_topk", d_sae=len(weights["W_dec"])))


def _stopping(cfg: Mapping[str, Any], weights: Mapping[str, Floats]) -> Stopping:
    limit = cfg.get("max_iterations")
    d_in = weights["W_dec"].shape[1]
    return Stopping(
        residual_threshold=_number(cfg, "residual_threshold"),
        max_iterations=d_in if limit is None else _count(cfg, "max_iterations"),
        at_repetition=_flag(cfg, "stop_on_duplicate_support"),
    )


def _k(cfg: Mapping[str, Any], key: str, *, d_sae: int) -> int:
    k = _count(cfg, key)
    if k > d_sae:
        raise UnknownToManualPath(f"{key} is {k}", expected=f"at most d_sae, {d_sae}")
    return k


def _flag(cfg: Mapping[str, Any], key: str, *, absent: bool | None = None) -> bool:
    value = cfg.get(key, absent)
    if not isinstance(value, bool):
        raise UnknownToManualPath(f"{key} is {value!r:.60}, which is not true or false")
    return value


def _count(cfg: Mapping[str, Any], key: str) -> int:
    value = cfg.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UnknownToManualPath(
            f"{key} is {value!r:.60}", expected="a positive integer in cfg.json"
        )
    return value


def _number(cfg: Mapping[str, Any], key: str) -> float:
    value = cfg.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not np.isfinite(value):
        raise UnknownToManualPath(f"{key} is {value!r:.60}", expected="a number in cfg.json")
    return float(value)
