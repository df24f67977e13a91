"""The middle of a unit's training on disk, so that hours are not lost to a kill.

What is left out is known without it: the order of the batches follows from the seed. torch writes
and maps its own files tensor by tensor, so a checkpoint takes no memory beside the training.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from manifests.build_folder import written_atomically
from manifests.digests import canonical_json
from retrain.jobs import Unit

CurvePoint = tuple[int, float, float, float]


@dataclass(frozen=True)
class Checkpoint:
    """How far a unit is: steps done, the curve of each SAE so far, seconds spent."""

    steps: int
    curves: list[list[CurvePoint]]
    seconds: float

    def write(self, path: Path, unit: Unit, state: Mapping[str, Tensor]) -> None:
        """Write the checkpoint with every tensor of the state, atomically."""
        content = {
            "unit": name_of(unit),
            "steps": self.steps,
            "curves": self.curves,
            "seconds": self.seconds,
            "state": dict(state),
        }
        with written_atomically(path) as stream:
            torch.save(content, stream)


def resume(path: Path, unit: Unit, state: Mapping[str, Tensor]) -> Checkpoint | None:
    """Put a checkpoint's tensors into the state, in place.

    None where there is none, or one that is damaged, of another unit or of other versions:
    training starts anew.
    """
    if not path.is_file():
        return None
    content = _read(path)
    if content is None or content["unit"] != name_of(unit):
        return None
    stored = content["state"]
    shapes = {name: tensor.shape for name, tensor in state.items()}
    if shapes != {name: tensor.shape for name, tensor in stored.items()}:
        return None
    for name, tensor in stored.items():
        state[name].copy_(tensor)
    curves = [[tuple(point) for point in curve] for curve in content["curves"]]
    return Checkpoint(content["steps"], curves, content["seconds"])


def _read(path: Path) -> dict[str, Any] | None:
    """The file's content, its tensors mapped and not read; None for a damaged file."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
        return None
    return content if isinstance(content, dict) else None


def name_of(unit: Unit) -> str:
    """Which SAEs, from which seeds, on how many vectors, computed by what; the path says the rest.

    What decides the last bits is part of it: a training that goes on with another torch, on
    another processor or with other threads would be that of neither.
    """
    jobs = [[j.sae_id, j.seed, None if j.rows is None else len(j.rows)] for j in unit.jobs]
    is_cuda = unit.device.startswith("cuda")
    computed_by = [
        torch.__version__,
        torch.cuda.get_device_name(unit.device) if is_cuda else torch.get_num_threads(),
    ]
    about = [jobs, unit.recipe.model_dump(mode="json"), computed_by, unit.micro_batch]
    return canonical_json(about).decode("utf-8")
