"""What SAELens accepts on disk, as plain facts: no import of sae_lens, which takes seconds.

Taken from sae_lens 6.54.12 (`sae_lens.registry`, `saes/sae.py`, `constants.py`); a test compares
them with the installed version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from manifests.errors import ReleaseError


class UnknownSize(ReleaseError):
    """A config that does not say how large a tensor is."""

    exit_code = 1


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
JUMPRELU = ("jumprelu", "jumprelu_skip_transcoder", "jumprelu_transcoder")
TRANSCODERS = (
    "jumprelu_skip_transcoder",
    "jumprelu_transcoder",
    "skip_transcoder",
    "transcoder",
)
# No known temporal SAE has more than a few; a config may claim any number.
MAX_ATTENTION_LAYERS = 1000

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

# Sizes by name: "d_in", "d_sae" and "d_out" stand for the numbers in cfg.json.
_ENCODER = {"W_enc": ("d_in", "d_sae"), "b_enc": ("d_sae",)}
_DECODER = {"W_dec": ("d_sae", "d_in"), "b_dec": ("d_in",)}
_TO_OUTPUT = {"W_dec": ("d_sae", "d_out"), "b_dec": ("d_out",)}
_THRESHOLD = {"threshold": ("d_sae",)}
_SKIP = {"W_skip": ("d_out", "d_in")}
_GATES = {"b_gate": ("d_sae",), "b_mag": ("d_sae",), "r_mag": ("d_sae",)}

# Of every inference architecture but temporal, whose tensors depend on further settings.
TENSOR_SHAPES: dict[str, dict[str, tuple[str, ...]]] = {
    "abstopk": {**_ENCODER, **_DECODER},
    "gated": {"W_enc": ("d_in", "d_sae"), **_GATES, **_DECODER},
    "jumprelu": {**_ENCODER, **_THRESHOLD, **_DECODER},
    "jumprelu_skip_transcoder": {**_ENCODER, **_THRESHOLD, **_TO_OUTPUT, **_SKIP},
    "jumprelu_transcoder": {**_ENCODER, **_THRESHOLD, **_TO_OUTPUT},
    "matching_pursuit": dict(_DECODER),
    "skip_transcoder": {**_ENCODER, **_TO_OUTPUT, **_SKIP},
    "standard": {**_ENCODER, **_DECODER},
    "topk": {**_ENCODER, **_DECODER},
    "transcoder": {**_ENCODER, **_TO_OUTPUT},
}
# Those that `expected_shapes` answers for.
SHAPED_ARCHITECTURES = INFERENCE_ARCHITECTURES

# What a checkpoint holds of an architecture that exists only while training; the scalar
# `topk_threshold` is in float64.
TRAINING_TENSOR_SHAPES: dict[str, dict[str, tuple[str, ...]]] = {
    name: {**_ENCODER, **_DECODER, "topk_threshold": ()} for name in TRAINING_ONLY_ARCHITECTURES
}

# Settings of a temporal SAE that decide which tensors it has and how large they are, with what
# SAELens takes where cfg.json does not say.
_TEMPORAL_DEFAULTS = {"n_attn_layers": 1, "bottleneck_factor": 64, "tied_weights": True}


def expected_shapes(cfg: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The tensors that SAELens builds for a config, and their shapes.

    Args:
        cfg: cfg.json with a registered inference architecture.

    Raises:
        UnknownSize: a size that a shape needs is missing or no positive whole number.
    """
    if cfg["architecture"] == "temporal":
        return _temporal_shapes(cfg)
    return {
        name: tuple(_size(cfg, size) for size in sizes)
        for name, sizes in TENSOR_SHAPES[cfg["architecture"]].items()
    }


def expected_names(cfg: Mapping[str, Any]) -> tuple[str, ...]:
    """The tensors that SAELens builds for a config, whatever its sizes.

    Raises:
        UnknownSize: how many attention layers a temporal SAE has is no positive whole number.
    """
    if cfg["architecture"] == "temporal":
        return tuple(expected_shapes({**cfg, "d_in": 1, "d_sae": 1, "bottleneck_factor": 1}))
    return tuple(TENSOR_SHAPES[cfg["architecture"]])


def _temporal_shapes(cfg: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Attention over latents: queries and keys are narrower by the bottleneck factor."""
    stated = _TEMPORAL_DEFAULTS | {key: cfg[key] for key in _TEMPORAL_DEFAULTS if key in cfg}
    d_sae, narrow = _size(cfg, "d_sae"), _size(cfg, "d_sae") // _size(stated, "bottleneck_factor")
    d_in = _size(cfg, "d_in")
    shapes: dict[str, tuple[int, ...]] = {"W_dec": (d_sae, d_in), "b_dec": (d_in,)}
    if not stated["tied_weights"]:
        shapes["W_enc"] = (d_in, d_sae)
    for layer in range(min(_size(stated, "n_attn_layers"), MAX_ATTENTION_LAYERS)):
        for name in ("q_target", "k_ctx", "v_ctx", "c_proj"):
            width = narrow if name in ("q_target", "k_ctx") else d_sae
            shapes[f"attn_layers.{layer}.{name}.weight"] = (width, d_sae)
            shapes[f"attn_layers.{layer}.{name}.bias"] = (width,)
    return shapes


def _size(cfg: Mapping[str, Any], key: str) -> int:
    value = cfg.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        found = "is missing" if key not in cfg else f"is {value!r:.60}"
        raise UnknownSize(
            f"{key} {found}",
            where="cfg.json",
            expected="a positive whole number",
            next_step=f"state {key} in cfg.json; SAELens would take its own default",
        )
    return value


def canonical_dtype(name: str) -> str:
    """`torch.float32` and `float32` are the same to SAELens."""
    return name.removeprefix("torch.")
