"""OpenMOSS' format, and Llama Scope, which was made with it.

Its forward (`SparseAutoEncoder.encode`), with s = sqrt(d_model) / the data's mean norm where
`norm_activation` is dataset-wise, n the norms of the decoder's columns where
`sparsity_include_decoder_norm` is set, else 1:
p = (s * x) @ W_e.T + b_e; latents p where n * p > threshold, else 0; (latents @ W_d.T + b_d) / s.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from validators.mending.conversion_source import Converted, NotConverted, Source, Weights
from validators.mending.norms import fold_input_scale, shapes_fit

_NAMES = {
    "encoder.weight": "W_enc",
    "decoder.weight": "W_dec",
    "encoder.bias": "b_enc",
    "decoder.bias": "b_dec",
}
_NORM = re.compile(r"dataset_average_activation_norm\.(.+)")


def from_llama_scope(source: Source) -> Converted:
    """Llama Scope as SAELens' jumprelu, in the units that SAELens' own loader gives.

    Its scalar threshold belongs to inputs of unit scale, after the fold; SAELens multiplies it by
    s along with the weights (`llama_scope_sae_huggingface_loader`), and so does this.
    """
    return _converted(source, source.config("hyperparams.json"), threshold_is_folded=True)


def from_openmoss(source: Source) -> Converted:
    """An SAE of OpenMOSS as SAELens' jumprelu, topk or standard.

    Raises:
        NotConverted: it is no autoencoder, normalises each vector, or its scale is not recorded.
    """
    return _converted(source, source.config("config.json"), threshold_is_folded=False)


def _converted(source: Source, cfg: dict[str, Any], *, threshold_is_folded: bool) -> Converted:
    if cfg.get("sae_type", "sae") != "sae" or cfg.get("use_glu_encoder"):
        kind = cfg.get("sae_type") if cfg.get("sae_type", "sae") != "sae" else "a gated encoder"
        raise NotConverted("F010", f"it is of the type {kind}", "SAELens has no such class")
    if cfg.get("hook_point_out", cfg.get("hook_point_in")) != cfg.get("hook_point_in"):
        raise NotConverted("F010", "it is a transcoder", "its output scale has no place in SAELens")
    weights = source.weights()
    tensors, dtypes = _tensors(weights)
    logarithms = weights.tensors.get("log_jumprelu_threshold", tensors["b_enc"])
    if not shapes_fit(tensors) or logarithms.shape != tensors["b_enc"].shape:
        raise NotConverted("W002", "the tensors' sizes do not agree", "no fold is possible")
    scale = _scale(cfg, weights)
    norms = np.linalg.norm(tensors["W_dec"].astype(np.float64), axis=1)
    include_norms = cfg.get("sparsity_include_decoder_norm", True)
    top: dict[str, Any] = {
        "apply_b_dec_to_input": bool(cfg.get("apply_decoder_bias_to_pre_encoder", False)),
    }
    activation = str(cfg.get("act_fn", "relu")).lower()
    if activation == "jumprelu":
        threshold = _threshold(cfg, weights, n_latents=norms.size)
        if threshold_is_folded:
            threshold = threshold * scale
        if include_norms:
            threshold = threshold / np.where(norms == 0, 1.0, norms)
        tensors["threshold"], dtypes["threshold"] = threshold.astype(np.float32), "F32"
        top["architecture"] = "jumprelu"
    elif activation == "topk":
        if include_norms and not np.allclose(norms, 1, atol=1e-2):
            raise NotConverted(
                "F010", "latents are ranked by decoder norm", "and then given without it"
            )
        top |= {"architecture": "topk", "k": cfg.get("top_k")}
    elif activation == "relu":
        top["architecture"] = "standard"
    else:
        raise NotConverted("F010", f"act_fn is {activation!r}", "SAELens has no such class")
    if scale != 1.0:
        tensors = fold_input_scale(tensors, scale)
        dtypes = {name: "F64" if dtype == "F64" else "F32" for name, dtype in dtypes.items()}
    return source.converted(
        top,
        {"model_name": cfg.get("model_name"), "hook_name": cfg.get("hook_point_in")},
        Weights(tensors, dtypes),
        f"Linear weights transposed; the input scale {scale:.6g} folded into the weights"
        + (", and into the threshold" if threshold_is_folded else ""),
    )


def _tensors(weights: Weights) -> tuple[dict[str, Any], dict[str, str]]:
    extra = {
        name
        for name in weights.names - _NAMES.keys() - {"log_jumprelu_threshold"}
        if not _NORM.fullmatch(name)
    }
    missing = _NAMES.keys() - weights.names
    if extra or missing:
        apart = ", ".join(sorted(extra | missing))
        raise NotConverted("F010", f"{apart} missing or not known", "its SAEs have others")
    tensors = {new: weights.tensors[old] for old, new in _NAMES.items()}
    tensors["W_enc"], tensors["W_dec"] = tensors["W_enc"].T, tensors["W_dec"].T
    return tensors, {new: weights.dtype_for(old) for old, new in _NAMES.items()}


def _scale(cfg: dict[str, Any], weights: Weights) -> float:
    """What inputs are multiplied by."""
    kind = cfg.get("norm_activation", "inference")
    if kind == "inference":
        return 1.0
    if kind != "dataset-wise":
        raise NotConverted(
            "C008", f"norm_activation is {kind!r}", "it depends on each vector or batch"
        )
    norm = None
    recorded = cfg.get("dataset_average_activation_norm")
    if isinstance(recorded, dict):
        norm = recorded.get("in", recorded.get(str(cfg.get("hook_point_in"))))
    for name, tensor in weights.tensors.items():
        match = _NORM.fullmatch(name)
        if match and match[1] == cfg.get("hook_point_in"):
            norm = float(np.ravel(tensor)[0])
    if not isinstance(norm, (int, float)) or isinstance(norm, bool) or not norm > 0:
        raise NotConverted(
            "C008", "inputs are scaled by the data's mean norm", "which is not recorded"
        )
    return math.sqrt(float(weights.tensors["encoder.weight"].shape[1])) / float(norm)


def _threshold(cfg: dict[str, Any], weights: Weights, *, n_latents: int) -> Any:
    logarithm = weights.tensors.get("log_jumprelu_threshold")
    if logarithm is not None:
        return np.exp(logarithm.astype(np.float64))
    value = cfg.get("jump_relu_threshold")
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise NotConverted("F010", f"jump_relu_threshold is {value!r}", "a jumprelu needs one")
    return np.full(n_latents, float(value))
