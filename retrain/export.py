"""One SAE as the folder that SAELens 6 writes and reads: cfg.json and sae_weights.safetensors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from manifests.matrix import SaeSpec
from manifests.model import Manifest
from manifests.recipe import TopkRecipe

if TYPE_CHECKING:
    from torch import Tensor

# The release whose layout is followed. A version below 6, or none, makes SAELens migrate the
# file as a flat one and drop its hook names.
SAE_LENS_VERSION = "6.54.12"


def sae_files(
    spec: SaeSpec, manifest: Manifest, tensors: dict[str, Tensor], *, context_size: int
) -> dict[str, bytes]:
    """The bytes of both files by name; equal arguments give equal bytes.

    Args:
        spec: the SAE.
        manifest: its manifest.
        tensors: float32 on the CPU, for raw activations.
        context_size: tokens of the longest training sequence.
    """
    from safetensors.torch import save

    config = json.dumps(sae_config(spec, manifest, context_size=context_size), indent=2)
    # SAELens writes no header metadata, and a fixed order of names makes the bytes repeatable.
    weights = save({name: tensors[name].contiguous() for name in sorted(tensors)})
    return {SAE_CONFIG: f"{config}\n".encode(), SAE_WEIGHTS: weights}


def sae_config(spec: SaeSpec, manifest: Manifest, *, context_size: int) -> dict[str, Any]:
    """cfg.json of one SAE, with the keys of SAELens' inference configurations."""
    base_model, data = manifest.base_model, manifest.data.at_hand()
    recipe = manifest.recipe.of(spec.architecture, spec.variant)
    own: dict[str, Any] = {}
    if isinstance(recipe, TopkRecipe):
        own = {"k": recipe.k, "rescale_acts_by_decoder_norm": False}
    return {
        "architecture": spec.architecture,
        "d_in": spec.d_in,
        "d_sae": spec.d_sae,
        **own,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": SAE_LENS_VERSION,
            "sae_lens_training_version": None,
            "model_name": base_model.id,
            "model_class_name": "AutoModelForCausalLM",
            "hook_name": spec.hook_name,
            "hf_hook_name": spec.hf_hook_name,
            "hook_head_index": None,
            # The chat template writes the special tokens itself.
            "prepend_bos": False,
            "context_size": context_size,
            "dataset_path": data.file,
            "dataset_sha256": data.sha256,
            "pooling": data.pooling,
            "training_condition": spec.condition,
            "training_architecture": spec.architecture,
        },
    }
