"""Pickled state dicts: SAELens' own tensor names, Linear layers, Qwen Scope and Goodfire."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from validators.mending.conversion_source import Converted, NotConverted, Source, Weights
from validators.saelens.format import TENSOR_SHAPES

_QWEN = re.compile(r"-W(\d+)K-L0_(\d+)")
_LAYER = re.compile(r"layer(\d+)|-l(\d+)\.")
# Where a checkpoint nests its state dict.
_PREFIXES = ("state_dict.", "model_state_dict.", "model.", "sae.", "autoencoder.")
_LINEAR = (
    {"encoder.weight": "W_enc", "decoder.weight": "W_dec", "encoder.bias": "b_enc"},
    {
        "encoder_linear.weight": "W_enc", "decoder_linear.weight": "W_dec",
        "encoder_linear.bias": "b_enc", "decoder_linear.bias": "b_dec",
    },
)  # fmt: skip
_B_DEC = ("b_dec", "decoder.bias", "pre_bias", "bias")
_SAELENS_TENSORS = frozenset().union(*(shapes.keys() for shapes in TENSOR_SHAPES.values())) | {
    "k", "log_threshold", "scaling_factor", "topk_threshold",
}  # fmt: skip


def from_state_dict(source: Source) -> Converted:
    """Tensors under SAELens' names, or of two Linear layers, with the config that lies beside.

    What the config does not say is left to the mends, which say so; the bias of a Linear decoder
    gives no hint whether it is subtracted from the input, so that must be stated.

    Raises:
        NotConverted: the tensors are others, or the architecture cannot be told.
    """
    weights = _without_prefix(source.weights())
    cfg = dict(source.json_beside())
    made, was_linear = _named(weights)
    cfg.update(_sizes_under_other_names(cfg))
    architecture = cfg.get("architecture") or _claimed(source) or _architecture(made, cfg)
    if architecture is None:
        raise NotConverted(
            "F006",
            f"tensors {', '.join(sorted(weights.names))}",
            "which architecture they belong to is stated nowhere",
        )
    if "apply_b_dec_to_input" not in cfg and was_linear:
        raise NotConverted(
            "F006",
            "Linear layers without apply_b_dec_to_input",
            "whether the input has b_dec subtracted is stated nowhere",
        )
    metadata = cfg.pop("metadata", None)
    nested = metadata if isinstance(metadata, dict) else {}
    cfg["architecture"] = architecture
    # The config's own version says in which format it is; that it has none is mended later.
    converted = source.converted(cfg, nested, made, "the same tensors, under SAELens' names")
    return _with_original_metadata(converted, nested)


def from_qwen_scope(source: Source) -> Converted:
    """Qwen Scope as SAELens' topk: W_enc [d_sae, d_in] and W_dec [d_in, d_sae] transposed.

    k stands in the repository's name only. b_dec is not subtracted from the input.
    """
    name = _QWEN.search(source.repository.name)
    weights = source.weights()
    if weights.names != {"W_enc", "W_dec", "b_enc", "b_dec"}:
        raise NotConverted("F006", f"tensors {', '.join(sorted(weights.names))}", "not known")
    tensors = dict(weights.tensors)
    tensors["W_enc"], tensors["W_dec"] = tensors["W_enc"].T, tensors["W_dec"].T
    cfg: dict[str, Any] = {"architecture": "topk", "apply_b_dec_to_input": False}
    if name:
        cfg["k"] = int(name[2])
    return source.converted(
        cfg,
        {"hook_name": _hook_name(source)},
        Weights(tensors, weights.dtypes),
        "both matrices transposed; k from the repository's name",
    )


def from_goodfire(source: Source) -> Converted:
    """Goodfire's SAEs as SAELens' standard: ReLU(x @ W_e.T + b_e), nothing subtracted."""
    made, was_linear = _named(_without_prefix(source.weights()))
    if not was_linear:
        raise NotConverted("F006", f"tensors {', '.join(sorted(made.names))}", "not known")
    return source.converted(
        {"architecture": "standard", "apply_b_dec_to_input": False},
        {"hook_name": _hook_name(source)},
        made,
        "Linear weights transposed; b_dec is not subtracted from the input",
    )


def _hook_name(source: Source) -> str | None:
    match = _LAYER.search(source.sae.files[0].rpartition("/")[2])
    return f"blocks.{match[1] or match[2]}.hook_resid_post" if match else None


def _without_prefix(weights: Weights) -> Weights:
    for prefix in _PREFIXES:
        if weights.names and all(name.startswith(prefix) for name in weights.names):
            return Weights(
                {name.removeprefix(prefix): t for name, t in weights.tensors.items()},
                {name.removeprefix(prefix): d for name, d in weights.dtypes.items()},
            )
    return weights


def _named(weights: Weights) -> tuple[Weights, bool]:
    """The tensors under SAELens' names, and whether they were Linear layers."""
    if {"W_enc", "W_dec"} <= weights.names <= _SAELENS_TENSORS:
        return weights, False
    for names in _LINEAR:
        rest = weights.names - names.keys()
        bias = [name for name in _B_DEC if name in rest]
        if not names.keys() <= weights.names or len(bias) > 1 or rest - set(bias) - {"k"}:
            continue
        renamed = {**names, **{name: "b_dec" for name in bias}}
        tensors = {renamed.get(name, name): t for name, t in weights.tensors.items()}
        tensors["W_enc"], tensors["W_dec"] = tensors["W_enc"].T, tensors["W_dec"].T
        dtypes = {renamed.get(name, name): d for name, d in weights.dtypes.items()}
        if any(tensors[name].ndim != 2 for name in ("W_enc", "W_dec")):
            continue
        if "b_dec" not in tensors:
            d_in = tensors["W_dec"].shape[1]
            tensors["b_dec"] = np.zeros(d_in, dtype=tensors["W_dec"].dtype)
            dtypes["b_dec"] = dtypes["W_dec"]
        return Weights(tensors, dtypes), True
    raise NotConverted(
        "F006", f"tensors {', '.join(sorted(weights.names)[:8])}", "they are of no known SAE"
    )


def _sizes_under_other_names(cfg: dict[str, Any]) -> dict[str, Any]:
    """d_in and d_sae, where the config calls them as older trainers did."""
    other = {"act_size": "d_in", "activation_dim": "d_in", "dict_size": "d_sae"}
    return {new: cfg.pop(old) for old, new in other.items() if old in cfg and new not in cfg}


def _claimed(source: Source) -> str | None:
    spec = source.claim.saes.get(source.sae_id) if source.claim else None
    return spec.architecture if spec else None


def _architecture(weights: Weights, cfg: dict[str, Any]) -> str | None:
    """What the tensors or the config's other keys imply; None where they leave it open."""
    names = weights.names
    if {"b_gate", "r_mag"} <= names:
        return "gated"
    activation = cfg.get("activation_fn_str", cfg.get("activation_fn"))
    if activation == "topk" or "k" in cfg or "top_k" in cfg:
        return "topk"
    if names & {"threshold", "log_threshold"} and "k" not in names:
        return "jumprelu"
    if activation == "relu":
        return "standard"
    return "topk" if "k" in names and "threshold" not in names else None


def _with_original_metadata(converted: Converted, nested: dict[str, Any]) -> Converted:
    """Without a version that was not there: the config is read by the rules of its own format."""
    from dataclasses import replace

    cfg = dict(converted.draft.cfg)
    if nested:
        cfg["metadata"] = dict(nested)
    else:
        del cfg["metadata"]
    return Converted(replace(converted.draft, cfg=cfg), converted.replaced)
