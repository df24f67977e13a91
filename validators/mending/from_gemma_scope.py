"""Gemma Scope, first release (`params.npz`) and second (`params.safetensors`).

Both: p = x @ W_enc + b_enc; latents p where p > threshold, else 0; reconstruction
latents @ W_dec + b_dec. b_dec is not subtracted from the input. Transcoders of the second release
may add x @ affine_skip_connection, which is [d_in, d_out].
"""

from __future__ import annotations

import re
from typing import Any

from validators.mending.conversion_source import Converted, NotConverted, Source, Weights

_LAYER = re.compile(r"layer_(\d+)")
_REPOSITORY = re.compile(r"gemma-scope-(\d+b)-(pt|it)-(res|mlp|att|transcoders)")
_SITES = {"res": "hook_resid_post", "mlp": "hook_mlp_out", "att": "attn.hook_z"}
_PLAIN = frozenset({"W_enc", "W_dec", "b_enc", "b_dec", "threshold"})


def from_gemma_scope_1(source: Source) -> Converted:
    """An SAE of the first release as SAELens' jumprelu.

    Raises:
        NotConverted: it is a transcoder or belongs to the embedding, or its tensors are others.
    """
    folder = f"{source.repository.name}/{source.sae.folder}"
    for kind in ("embedding", "transcoder"):
        if kind in folder:
            raise NotConverted("F010", f"it is of the kind {kind}", "its place needs more than b L")
    weights = _upper(source.weights())
    _need(weights, _PLAIN)
    layer, repository = _LAYER.search(source.sae.folder), _REPOSITORY.search(folder)
    site = _SITES.get(repository[3]) if repository else None
    return source.converted(
        {"architecture": "jumprelu", "apply_b_dec_to_input": False},
        {
            "model_name": _gemma_2(repository) if repository else None,
            "hook_name": f"blocks.{layer[1]}.{site}" if layer and site else None,
        },
        weights,
        "the same tensors; b_dec is not subtracted from the input",
    )


def from_gemma_scope_2(source: Source) -> Converted:
    """An SAE or transcoder of the second release as SAELens' jumprelu, or transcoder.

    Raises:
        NotConverted: it is a cross-layer transcoder, or its tensors are others.
    """
    cfg = source.config("config.json", required=False)
    if cfg and cfg.get("architecture") not in ("jump_relu", None):
        raise NotConverted("F010", f"architecture is {cfg['architecture']!r}", "not known")
    weights = _upper(source.weights())
    if any(tensor.ndim > 2 for tensor in weights.tensors.values()):
        raise NotConverted(
            "F010", "it is a cross-layer transcoder", "one decoder for each layer has no class"
        )
    skip = weights.tensors.get("affine_skip_connection")
    plain = {name: tensor for name, tensor in weights.tensors.items() if name in _PLAIN}
    dtypes = dict(weights.dtypes)
    _need(Weights(plain, dtypes), _PLAIN, also=weights.names - {"affine_skip_connection"})
    hooks = _hooks(cfg, source.sae.folder)
    is_transcoder = skip is not None or "hf_hook_name_out" in hooks
    top: dict[str, Any] = {"architecture": "jumprelu", "apply_b_dec_to_input": False}
    if is_transcoder:
        top |= {
            "architecture": "jumprelu_transcoder",
            "d_out": int(plain["W_dec"].shape[1]),
        }
    if skip is not None:
        top["architecture"] = "jumprelu_skip_transcoder"
        plain["W_skip"], dtypes["W_skip"] = skip.T, dtypes["affine_skip_connection"]
    return source.converted(
        top,
        {"model_name": cfg.get("model_name"), **hooks},
        Weights(plain, dtypes),
        "the same tensors; b_dec is not subtracted from the input"
        + ("; the skip connection transposed" if skip is not None else ""),
    )


def _upper(weights: Weights) -> Weights:
    """`w_enc` as `W_enc`."""
    names = {name: "W_" + name[2:] if name.startswith("w_") else name for name in weights.names}
    return Weights(
        {names[name]: tensor for name, tensor in weights.tensors.items()},
        {names[name]: dtype for name, dtype in weights.dtypes.items()},
    )


def _need(weights: Weights, wanted: frozenset[str], *, also: frozenset[str] | None = None) -> None:
    apart = sorted((weights.names if also is None else also) ^ wanted)
    if apart:
        raise NotConverted(
            "F010",
            f"{', '.join(apart)} missing or not known",
            f"it has {', '.join(sorted(wanted))}",
        )


def _gemma_2(repository: re.Match[str]) -> str:
    size, kind = repository[1], repository[2]
    return f"google/gemma-2-{size}" + ("-it" if kind == "it" else "")


def _hooks(cfg: dict[str, Any], folder: str) -> dict[str, Any]:
    """Names of the place, as far as the config and the folder give them."""
    hooks: dict[str, Any] = {}
    for key, name in (
        ("hf_hook_point_in", "hf_hook_name"),
        ("hf_hook_point_out", "hf_hook_name_out"),
    ):
        value = cfg.get(key)
        if isinstance(value, str):
            hooks[name] = value.removesuffix(".output")
    layer = _LAYER.search(folder)
    if layer and "resid_post" in folder:
        hooks["hook_name"] = f"blocks.{layer[1]}.hook_resid_post"
    elif layer and "mlp_out" in folder:
        hooks["hook_name"] = f"blocks.{layer[1]}.hook_mlp_out"
    elif layer and "attn_out" in folder:
        hooks["hook_name"] = f"blocks.{layer[1]}.attn.hook_z"
    return hooks
