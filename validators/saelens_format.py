"""What SAELens accepts on disk, as plain facts: no import of sae_lens, which takes seconds.

Taken from sae_lens 6.54.12 (`sae_lens.registry`, `saes/sae.py`, `constants.py`); a test compares
them with the installed version.
"""

from __future__ import annotations

# Architectures that `SAE.load_from_disk` can open.
INFERENCE_ARCHITECTURES = (
    "abstopk",
    "gated",
    "jumprelu",
    "jumprelu_skip_transcoder",
    "jumprelu_transcoder",
    "matching_pursuit",
    "skip_transcoder",
    "standard",
    "temporal",
    "topk",
    "transcoder",
)
# Architectures that exist only while training; SAELens saves them for inference as jumprelu.
TRAINING_ONLY_ARCHITECTURES = ("batchtopk", "matryoshka_batchtopk")

# Autoencoders: the input is what they reconstruct, so W_enc and W_dec face each other.
AUTOENCODERS = ("abstopk", "gated", "jumprelu", "standard", "topk")
TOPK = ("abstopk", "topk")

DTYPES = ("float32", "float64", "float16", "bfloat16")

REQUIRED_KEYS = (
    "architecture",
    "d_in",
    "d_sae",
    "dtype",
    "apply_b_dec_to_input",
    "normalize_activations",
)

# Keys that SAELens 6 drops or renames without a word; each once changed what an SAE computes.
SUPERSEDED_KEYS = {
    "activation_fn": "the architecture says which activation it is",
    "activation_fn_kwargs": "k stands at the top level",
    "activation_fn_str": "the architecture says which activation it is",
    "hook_point": "metadata.hook_name names the place",
    "hook_point_layer": "metadata.hook_name names the place",
    "log_threshold": "weights hold the threshold itself",
    "scaling_factor": "it is folded into the weights",
    "top_k": "the key is k",
}

# Sizes by name: "d_in" and "d_sae" stand for the numbers in cfg.json.
TENSOR_SHAPES: dict[str, dict[str, tuple[str, ...]]] = {
    architecture: {
        "W_enc": ("d_in", "d_sae"),
        "W_dec": ("d_sae", "d_in"),
        "b_enc": ("d_sae",),
        "b_dec": ("d_in",),
    }
    for architecture in ("abstopk", "standard", "topk")
}
TENSOR_SHAPES["jumprelu"] = {**TENSOR_SHAPES["standard"], "threshold": ("d_sae",)}
TENSOR_SHAPES["gated"] = {
    "W_enc": ("d_in", "d_sae"),
    "W_dec": ("d_sae", "d_in"),
    "b_gate": ("d_sae",),
    "b_mag": ("d_sae",),
    "r_mag": ("d_sae",),
    "b_dec": ("d_in",),
}
SHAPED_ARCHITECTURES = tuple(sorted(TENSOR_SHAPES))


def canonical_dtype(name: str) -> str:
    """`torch.float32` and `float32` are the same to SAELens."""
    return name.removeprefix("torch.")
