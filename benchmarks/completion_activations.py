"""Activations of the demonstration's completions, by the split of its manifest, kept on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def completion_activations(
    manifest: Path, folder: Path, *, layer: int, condition: str
) -> tuple[Tensor, Tensor]:
    """Train and held-out vectors [n, d_in] float32 of a condition; captured where not stored yet.

    They are read with the checker's own few lines, not the trainer's.
    """
    import torch
    from safetensors.torch import load_file, save_file

    from manifests.completions import for_condition, load_split
    from manifests.load import load_manifest
    from manifests.progress import Silent
    from validators.base_models.base_model import load_base_model
    from validators.evidence.activations import capture_completions
    from validators.places.place import Place

    path = folder / f"completions-layer{layer}-{condition}.safetensors"
    if not path.is_file():
        loaded = load_manifest(manifest)
        split = load_split(loaded)
        labels = loaded.manifest.data.conditions[condition]
        sides = {
            "train": for_condition(split.train, labels),
            "held_out": for_condition(split.held_out, labels),
        }
        base = load_base_model(loaded.manifest.base_model)
        place = Place(f"model.layers.{layer}")
        pooling = loaded.manifest.data.at_hand().pooling
        vectors = {
            side: capture_completions(base, rows, frozenset({place}), pooling, Silent())
            for side, rows in sides.items()
        }
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        save_file({s: torch.from_numpy(read.vectors[place]) for s, read in vectors.items()}, part)
        part.replace(path)
    stored = load_file(path)
    return stored["train"], stored["held_out"]
