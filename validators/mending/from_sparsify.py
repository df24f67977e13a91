"""eai-sparsify: TopK autoencoders, `layers.N/{cfg.json, sae.safetensors}`.

Its forward, by version 1.3 (`SparseCoder.encode`, `decode`):
top-k(ReLU((x - b_dec) @ encoder.weight.T + encoder.bias)) @ W_dec + b_dec, where W_dec is
[latents, d_in] already. b_dec is subtracted whatever `normalize_decoder` says.
"""

from __future__ import annotations

import re
from typing import Any

from validators.mending.conversion_source import Converted, NotConverted, Source, Weights

_LAYER = re.compile(r"layers[._](\d+)")
_NAMES = {
    "encoder.weight": "W_enc",
    "encoder.bias": "b_enc",
    "W_dec": "W_dec",
    "b_dec": "b_dec",
}


def from_sparsify(source: Source) -> Converted:
    """A TopK SAE of sparsify as SAELens' topk.

    Raises:
        NotConverted: it is a transcoder, uses another activation, or its tensors are others.
    """
    cfg = source.config("cfg.json")
    for key, reason in (
        ("transcode", "SAELens has no TopK transcoder"),
        ("skip_connection", "SAELens has no TopK SAE with a skip connection"),
        ("signed", "SAELens has no TopK SAE of signed latents under this name"),
    ):
        if cfg.get(key):
            raise NotConverted("F010", f"sparsify's config has {key}", reason)
    activation = cfg.get("activation", "topk")
    if activation != "topk":
        raise NotConverted("F010", f"the activation is {activation!r}", "SAELens has none like it")
    weights = source.weights()
    if weights.names != _NAMES.keys():
        apart = ", ".join(sorted(weights.names ^ _NAMES.keys()))
        raise NotConverted("F010", f"{apart} missing or too many", "sparsify's SAEs have four")
    encoder, decoder = weights.tensors["encoder.weight"], weights.tensors["W_dec"]
    if encoder.shape != decoder.shape:
        raise NotConverted(
            "F010",
            f"encoder.weight is {encoder.shape}, W_dec {decoder.shape}",
            "sparsify keeps both as [latents, d_in]",
        )
    tensors = {new: weights.tensors[old] for old, new in _NAMES.items()}
    tensors["W_enc"] = encoder.T
    dtypes = {new: weights.dtypes[old] for old, new in _NAMES.items()}
    run = _run_config(source)
    return source.converted(
        {
            "architecture": "topk",
            "k": cfg.get("k"),
            "apply_b_dec_to_input": True,
            "rescale_acts_by_decoder_norm": False,
        },
        {
            "model_name": run.get("model"),
            "hook_name": _hook_name(source.sae.folder),
            "dataset_path": run.get("dataset"),
            "context_size": run.get("ctx_len"),
        },
        Weights(tensors, dtypes),
        "encoder.weight transposed; b_dec is subtracted from the input, as sparsify always does",
    )


def _hook_name(folder: str) -> str | None:
    """The lens name of `layers.N`; None for `layers.N.mlp`, which is another site."""
    match = _LAYER.fullmatch(folder.rpartition("/")[2])
    return f"blocks.{match[1]}.hook_resid_post" if match else None


def _run_config(source: Source) -> dict[str, Any]:
    """The run's config.json in the folder above, or beside; empty where there is none."""
    above = source.sae.folder.rpartition("/")[0]
    path = f"{above}/config.json" if above else "config.json"
    return source.json_object(path)
