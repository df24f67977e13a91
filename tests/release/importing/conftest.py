"""Repositories to import: folders with real headers, and tensors that were never trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

D_IN, D_SAE = 16, 64
_BYTES = {"F32": 4, "F16": 2, "BF16": 2}


def tensor_shapes(architecture: str, d_in: int, d_sae: int) -> dict[str, list[int]]:
    shapes = {"W_enc": [d_in, d_sae], "W_dec": [d_sae, d_in], "b_dec": [d_in]}
    if architecture == "gated":
        return {**shapes, "b_gate": [d_sae], "b_mag": [d_sae], "r_mag": [d_sae]}
    shapes["b_enc"] = [d_sae]
    return {**shapes, "threshold": [d_sae]} if architecture == "jumprelu" else shapes


def write_weights(path: Path, shapes: dict[str, list[int]], *, dtype: str = "F32") -> int:
    """A safetensors file whose data is a hole of zeros; returns the length of its header."""
    header: dict[str, Any] = {}
    position = 0
    for name in sorted(shapes):
        n_bytes = _BYTES[dtype]
        for size in shapes[name]:
            n_bytes *= size
        header[name] = {
            "dtype": dtype,
            "shape": shapes[name],
            "data_offsets": [position, position + n_bytes],
        }
        position += n_bytes
    content = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(len(content).to_bytes(8, "little") + content)
        stream.truncate(8 + len(content) + position)
    return len(content)


def flat_config(name: str, architecture: str, layer: int, condition: str, **own: Any) -> dict:
    """cfg.json as the study's first repositories have it."""
    k = {"k": 8} if architecture == "topk" else {}
    return {
        "architecture": architecture,
        "d_in": D_IN,
        "d_sae": D_SAE,
        **k,
        "dtype": "float32",
        "hook_name": f"model.layers.{layer}",
        "hook_layer": layer,
        "model_name": name,
        "training_condition": condition,
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        **own,
    }


def nested_config(name: str, architecture: str, layer: int, condition: str, **own: Any) -> dict:
    """cfg.json as SAELens 6 and this tool write it."""
    flat = flat_config(name, architecture, layer, condition)
    for key in ("hook_name", "hook_layer", "model_name", "training_condition"):
        del flat[key]
    metadata = {
        "sae_lens_version": "6.54.12",
        "model_name": name,
        "hook_name": f"blocks.{layer}.hook_resid_post",
        "hf_hook_name": f"model.layers.{layer}",
        "training_condition": condition,
    }
    return {**flat, "metadata": metadata, **own}


WriteSae = Callable[..., None]


@pytest.fixture
def write_sae() -> WriteSae:
    """`write_sae(folder, cfg)` writes cfg.json and weights that agree with it."""

    def write(folder: Path, cfg: dict, *, dtype: str = "F32", architecture: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cfg.json").write_text(json.dumps(cfg), encoding="utf-8", newline="\n")
        shapes = tensor_shapes(architecture or cfg["architecture"], cfg["d_in"], cfg["d_sae"])
        write_weights(folder / "sae_weights.safetensors", shapes, dtype=dtype)

    return write


@pytest.fixture
def config_of() -> Callable[..., dict]:
    """`config_of(name, architecture, layer, condition, nested=False, **keys)`."""

    def config(*facts: Any, nested: bool = False, **own: Any) -> dict:
        return (nested_config if nested else flat_config)(*facts, **own)

    return config


SMOLLM2 = "HuggingFaceTB/SmolLM2-135M"


@pytest.fixture
def smollm2(tmp_path: Path, write_sae: WriteSae) -> Path:
    """9 layers x 2 architectures x 3 conditions = 54 SAEs, with flat configs."""
    root = tmp_path / "smollm2"
    for layer in (3, 4, 5, 6, 9, 12, 15, 18, 21):
        for architecture in ("topk", "jumprelu"):
            for condition in ("mixed", "deceptive_only", "honest_only"):
                cfg = flat_config(SMOLLM2, architecture, layer, condition)
                write_sae(root / f"smollm2_{architecture}_L{layer}_{condition}", cfg)
    return root
