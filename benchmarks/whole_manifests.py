"""Train all SAEs of whole manifests on synthetic activations, and say how fast that was.

The study's base models and completions are not at hand, so the vectors are random: as many for
each condition as the manifest reports, as wide as the base model. What is trained on them is cut
into units and trained as `release retrain` does it, with the whole memory of the device as the
budget instead of the manifest's target.

The floor is what a step has to move through the device's memory whatever it computes: parameters
and both of Adam's moments read and written, gradients written and read, eight times four bytes for
each parameter, at the bandwidth that copying a large array reaches in the same run. What forward
and backward read besides is not in it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from manifests.load import LoadedManifest
    from retrain.jobs import Unit
    from retrain.vectors import Vectors

MANIFESTS = Path(__file__).resolve().parents[1] / "manifests"
STUDY_SAES = 348
STUDY_SECONDS = 400
_FLOAT = 4
_MOVES = 8
_SMALL_WIDTH, _SMALL_EPOCHS = 16, 3


@dataclass(frozen=True)
class Trained:
    """How the SAEs of one manifest were trained.

    Attributes:
        sae_steps: optimiser steps, summed over the SAEs.
        moved_bytes: what the floor counts.
        peak_bytes: most memory that torch held on a GPU; None on a CPU.
    """

    manifest: str
    n_saes: int
    n_units: int
    sae_steps: int
    seconds: float
    moved_bytes: int
    peak_bytes: int | None


def train_manifests(names: Sequence[str], *, device: str, scale_down: bool) -> dict[str, Any]:
    """Train, print a table, and return its numbers.

    Args:
        names: manifests beside the project's own, without suffix.
        device: where torch computes.
        scale_down: widths of 16 and 3 epochs, to try the path where there is no GPU.
    """
    import torch

    bandwidth = copy_bandwidth(device, n_bytes=2**26 if scale_down else 2**31)
    is_cuda = device.startswith("cuda")
    name = torch.cuda.get_device_name(device) if is_cuda else "CPU"
    print(f"{name}, torch {torch.__version__}; copying moves {bandwidth / 1e9:.0f} GB/s")
    if scale_down:
        print("scaled down: the numbers below say nothing")
    print(
        f"{'':22} {'SAEs':>5} {'units':>6} {'SAE steps':>10} {'seconds':>8} {'SAEs/min':>9} "
        f"{'of the floor':>13} {'peak GB':>8}"
    )
    trained = []
    for manifest in names:
        trained.append(train_manifest(_loaded(manifest, scale_down=scale_down), device))
        print(_line(trained[-1], bandwidth), flush=True)
    whole = Trained(
        manifest="all",
        n_saes=sum(one.n_saes for one in trained),
        n_units=sum(one.n_units for one in trained),
        sae_steps=sum(one.sae_steps for one in trained),
        seconds=sum(one.seconds for one in trained),
        moved_bytes=sum(one.moved_bytes for one in trained),
        peak_bytes=max((one.peak_bytes for one in trained if one.peak_bytes), default=None),
    )
    print(_line(whole, bandwidth))
    study = STUDY_SAES * whole.seconds / whole.n_saes
    print(
        f"At this rate the study's {STUDY_SAES} SAEs take {study:.0f} s "
        f"(aim: below {STUDY_SECONDS} s on one H200)."
    )
    return {
        "device": name,
        "torch": torch.__version__,
        "scaled_down": scale_down,
        "bandwidth_bytes_per_second": bandwidth,
        "study_seconds": study,
        "manifests": [asdict(one) for one in (*trained, whole)],
    }


def _line(trained: Trained, bandwidth: float) -> str:
    share = trained.moved_bytes / bandwidth / trained.seconds
    peak = "" if trained.peak_bytes is None else f"{trained.peak_bytes / 1e9:.1f}"
    return (
        f"{trained.manifest:22} {trained.n_saes:5} {trained.n_units:6} {trained.sae_steps:10} "
        f"{trained.seconds:8.1f} {60 * trained.n_saes / trained.seconds:9.1f} "
        f"{100 * share:12.0f}% {peak:>8}"
    )


def train_manifest(loaded: LoadedManifest, device: str) -> Trained:
    """Plan and train all SAEs of a manifest; reading the results off the device counts."""
    import torch

    from retrain.engines.local import LocalEngine
    from retrain.training.train import n_steps

    is_cuda = device.startswith("cuda")
    units, vectors = units_and_vectors(loaded, device)
    if is_cuda:
        torch.cuda.reset_peak_memory_stats(device)
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    n_trained = sum(len(made) for _, made in LocalEngine().run(units, vectors, _ignore))
    if is_cuda:
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - started
    assert n_trained == len(loaded.saes)
    sae_steps, moved = 0, 0
    for unit in units:
        rows = unit.jobs[0].rows
        n_vectors = len(vectors[unit.jobs[0].hook]) if rows is None else len(rows)
        of_unit = n_steps(n_vectors, unit.recipe) * len(unit.jobs)
        parameters = 2 * unit.jobs[0].d_sae * vectors[unit.jobs[0].hook].d_in
        sae_steps += of_unit
        moved += of_unit * parameters * _MOVES * _FLOAT
    return Trained(
        manifest=loaded.name,
        n_saes=n_trained,
        n_units=len(units),
        sae_steps=sae_steps,
        seconds=seconds,
        moved_bytes=moved,
        peak_bytes=torch.cuda.max_memory_allocated(device) if is_cuda else None,
    )


def _ignore(unit: Unit, report: object) -> None:
    del unit, report


def units_and_vectors(loaded: LoadedManifest, device: str) -> tuple[list[Unit], dict[str, Vectors]]:
    """The units of `release retrain`, and random vectors for each hook."""
    import torch

    from retrain.planning.budget import budget_for
    from retrain.planning.capture import Capture
    from retrain.planning.plan import plan
    from retrain.units import groups_of, units_of
    from retrain.vectors import InMemory

    manifest = loaded.manifest
    n_vectors = {name: c.n for name, c in manifest.data.conditions.items() if c.n is not None}
    assert n_vectors.keys() == manifest.data.conditions.keys(), "a condition without a count"
    most = max(n_vectors.values())
    groups = groups_of(loaded, n_vectors)
    hooks = {spec.hf_hook_name: spec.d_in for spec in loaded.saes}
    target = manifest.hardware.target.model_copy(update={"memory_gb": None})
    made = plan(
        budget_for(target, device),
        [group for group, _ in groups],
        Capture(manifest.base_model, None, n_hooks=len(hooks)),
        is_cuda=device.startswith("cuda"),
    )
    rows = {name: None if n == most else torch.arange(n) for name, n in n_vectors.items()}
    generator = torch.Generator().manual_seed(0)
    vectors: dict[str, Vectors] = {
        hook: InMemory(torch.randn(most, d_in, generator=generator)) for hook, d_in in hooks.items()
    }
    return units_of(loaded, groups, made, rows, device=device), vectors


def copy_bandwidth(device: str, *, n_bytes: int) -> float:
    """Bytes read and written in a second by copying an array on the device; median of ten."""
    import torch

    source = torch.zeros(n_bytes // _FLOAT, device=device)
    target = torch.empty_like(source)
    times = []
    for _ in range(12):
        _wait(device)
        started = time.perf_counter()
        target.copy_(source)
        _wait(device)
        times.append(time.perf_counter() - started)
    return 2 * n_bytes / statistics.median(times[2:])


def _wait(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def _loaded(name: str, *, scale_down: bool) -> LoadedManifest:
    from manifests.load import load_manifest

    loaded = load_manifest(MANIFESTS / f"{name}.yaml")
    if not scale_down:
        return loaded
    saes = tuple(
        replace(spec, d_in=_SMALL_WIDTH, d_sae=_SMALL_WIDTH * spec.d_sae // spec.d_in)
        for spec in loaded.saes
    )
    recipe = loaded.manifest.recipe.model_copy(update={"epochs": _SMALL_EPOCHS})
    return replace(
        loaded, saes=saes, manifest=loaded.manifest.model_copy(update={"recipe": recipe})
    )
