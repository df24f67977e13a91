"""One SAE as the folder that SAELens 6 writes and reads: cfg.json and sae_weights.safetensors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from manifests.matrix import SaeSpec
from manifests.model import Manifest
from manifests.sae_recipes import TopkRecipe

if TYPE_CHECKING:
    from torch import Tensor

# The release whose layout is followed. A version below 6, or none, makes SAELens migrate the
# file as a flat one and drop its hook names.
SAE_LENS_VERSION = "6.54.12"


@dataclass(frozen=True)
class DataSource:
    """The data that cfg.json names; None for what is not known or does not apply.

    Attributes:
        path: a file relative to the manifest's folder, or the id of a data set on the Hub.
        sha256: of the file, or of the data set's rows.
        revision: of the data set on the Hub.
    """

    path: str | None
    sha256: str | None = None
    revision: str | None = None


def data_source(manifest: Manifest) -> DataSource:
    """The data that a manifest trains on: its file, else its data set on the Hub."""
    data = manifest.data
    if data.file is None and data.dataset is not None:
        return DataSource(data.dataset.id, data.sha256, data.dataset.revision)
    return DataSource(data.file, data.sha256)


def sae_files(
    spec: SaeSpec,
    manifest: Manifest,
    tensors: dict[str, Tensor],
    *,
    context_size: int,
    data: DataSource | None = None,
) -> dict[str, bytes]:
    """The bytes of both files by name; equal arguments give equal bytes.

    Args:
        spec: the SAE.
        manifest: its manifest.
        tensors: float32 on the CPU, for raw activations.
        context_size: tokens of the longest training sequence.
        data: what it was really trained on; None: what the manifest names.
    """
    from safetensors.torch import save

    content = sae_config(spec, manifest, context_size=context_size, data=data)
    config = json.dumps(content, indent=2)
    # SAELens writes no header metadata, and a fixed order of names makes the bytes repeatable.
    weights = save({name: tensors[name].contiguous() for name in sorted(tensors)})
    return {SAE_CONFIG: f"{config}\n".encode(), SAE_WEIGHTS: weights}


def sae_config(
    spec: SaeSpec, manifest: Manifest, *, context_size: int, data: DataSource | None = None
) -> dict[str, Any]:
    """cfg.json of one SAE, with the keys of SAELens' inference configurations.

    `architecture` is the one that SAELens runs; `metadata.training_architecture` and its details
    are the one that was trained, and its recipe. See docs/decisions/0010-no-model-class-name.md
    for the keys by which SAELens finds the place in the base model.
    """
    recipe = manifest.recipe.of(spec.architecture, spec.variant)
    data, text = data or data_source(manifest), manifest.data.text
    own: dict[str, Any] = {}
    if spec.saved_architecture == "topk":
        assert isinstance(recipe, TopkRecipe)
        own = {"k": recipe.k, "rescale_acts_by_decoder_norm": False}
    return {
        "architecture": spec.saved_architecture,
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
            "model_name": manifest.base_model.id,
            # SAELens' evaluation unpacks it, and ends in a TypeError where it is missing.
            "model_from_pretrained_kwargs": {},
            "hook_name": spec.hook_name,
            "hf_hook_name": spec.hf_hook_name,
            "hook_head_index": None,
            # Of completions, the chat template writes the special tokens itself.
            "prepend_bos": text.prepend_bos if text else False,
            "context_size": context_size,
            **({"seqpos_slice": [text.skip_first, None]} if text else {}),
            "dataset_path": data.path,
            "dataset_sha256": data.sha256,
            "dataset_revision": data.revision,
            "pooling": manifest.data.pooling,
            "training_condition": spec.condition,
            "training_architecture": spec.architecture,
            "training_architecture_details": recipe.model_dump(mode="json", exclude_none=True),
        },
    }
