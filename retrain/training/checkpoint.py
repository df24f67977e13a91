"""The middle of a unit's training on disk, so that hours are not lost to a kill.

What is left out is known without it: the order of the batches follows from the seed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from manifests.build_folder import write_atomically
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
        from safetensors.torch import save

        about = {
            "unit": _name_of(unit),
            "steps": self.steps,
            "curves": self.curves,
            "seconds": self.seconds,
        }
        tensors = {name: tensor.contiguous() for name, tensor in state.items()}
        write_atomically(path, save(tensors, metadata={"checkpoint": json.dumps(about)}))


def resume(path: Path, unit: Unit, state: Mapping[str, Tensor]) -> Checkpoint | None:
    """Put a checkpoint's tensors into the state, in place.

    None where there is none, or one that is damaged or of another unit: training starts anew.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            about = json.loads((stored.metadata() or {})["checkpoint"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, json.JSONDecodeError):
        return None
    shapes = {name: tensor.shape for name, tensor in state.items()}
    if about["unit"] != _name_of(unit) or shapes != {n: t.shape for n, t in tensors.items()}:
        return None
    for name, tensor in tensors.items():
        state[name].copy_(tensor)
    curves = [[(int(p[0]), *map(float, p[1:])) for p in curve] for curve in about["curves"]]
    return Checkpoint(about["steps"], curves, about["seconds"])  # type: ignore[arg-type]


def _name_of(unit: Unit) -> str:
    """Which SAEs, from which seeds, on how many vectors; the path says the rest."""
    jobs = [[j.sae_id, j.seed, None if j.rows is None else len(j.rows)] for j in unit.jobs]
    about = {"jobs": jobs, "recipe": unit.recipe.model_dump(mode="json")}
    return canonical_json([about, unit.device.partition(":")[0], unit.micro_batch]).decode("utf-8")
