"""SAEs of every architecture that SAELens can load, with random weights that use every term."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from sae_lens import SAE
from sae_lens.registry import get_sae_class

D_IN, D_SAE, D_OUT = 16, 64, 12

EXTRA: dict[str, dict[str, Any]] = {
    "topk": {"k": 5},
    "abstopk": {"k": 5},
    "transcoder": {"d_out": D_OUT, "apply_b_dec_to_input": False},
    "skip_transcoder": {"d_out": D_OUT, "apply_b_dec_to_input": False},
    "jumprelu_transcoder": {"d_out": D_OUT, "apply_b_dec_to_input": False},
    "jumprelu_skip_transcoder": {"d_out": D_OUT, "apply_b_dec_to_input": False},
    "temporal": {"n_heads": 2, "bottleneck_factor": 8, "kval_topk": 6},
    "matching_pursuit": {"residual_threshold": 0.5, "max_iterations": 8},
}


def random_sae(architecture: str, *, seed: int = 0, **settings: Any) -> SAE[Any]:
    """An SAE of SAELens' own class, in float32; transcoders are 16 -> 12, all others 16 -> 16."""
    sae_class, config_class = get_sae_class(architecture)
    config = config_class(**{"d_in": D_IN, "d_sae": D_SAE} | EXTRA.get(architecture, {}) | settings)
    sae = sae_class(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in sae.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            if name == "threshold":
                value.copy_(0.5 + noise.abs())
            elif name == "W_dec":
                value.copy_(torch.nn.functional.normalize(noise, dim=1))
            elif name == "W_enc":
                facing = value.shape == sae.W_dec.T.shape
                value.copy_(sae.W_dec.T + 0.1 * noise if facing else noise)
            else:
                value.copy_(0.3 * noise)
    return sae


def saved(sae: SAE[Any], folder: Path) -> Path:
    """The folder, with the SAE in it as SAELens saves it."""
    sae.save_model(folder)
    return folder
