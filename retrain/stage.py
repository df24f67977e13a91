"""The stage `retrain`: from a manifest to SAE folders and training.json."""

from __future__ import annotations

import fnmatch
import shutil
from typing import TYPE_CHECKING

from manifests.build_folder import BuildFolder, write_atomically
from manifests.completions import Split, for_condition, load_split
from manifests.digests import bytes_sha256
from manifests.errors import UsageError
from manifests.load import LoadedManifest
from manifests.matrix import SaeSpec
from manifests.progress import Progress, Task
from retrain.inputs import wanted_digests
from retrain.record import sae_record, write_record
from retrain.resume import FinishedSae, finished_saes, formerly_trained
from validators.training_record import TrainedOn

if TYPE_CHECKING:
    from torch import Tensor

    from retrain.activation_cache import CapturedActivations
    from retrain.train import Trained


def retrain(
    loaded: LoadedManifest,
    build: BuildFolder,
    *,
    device: str = "cpu",
    progress: Progress,
    base_model: str | None = None,
    only: str | None = None,
) -> None:
    """Train the SAEs that are missing or out of date, and write training.json.

    Training sees the training rows of the split alone; held-out completions are never run
    through the base model here. Killed at any moment, a second call gives the same files as an
    uninterrupted one: finished SAEs are kept, an unfinished one starts again from its seed.

    Args:
        loaded: the manifest.
        build: where its files lie.
        device: where torch computes, `cpu` or `cuda`.
        progress: one task over all steps.
        base_model: a folder or Hub id in place of the manifest's base model.
        only: a glob over SAE ids; the others are left as they are.

    Raises:
        UsageError: `only` matches no SAE of the manifest.
        DataNotAtHand, CompletionsProblem: the completions cannot be read.
        BaseModelProblem, BaseModelUnreachable, HookProblem: the base model cannot be run.
        NoVariance: a condition's activations are all the same.
    """
    asked = _selected(loaded, only)
    split = load_split(loaded)
    wanted = wanted_digests(loaded, device=device, base_model=base_model)
    finished = finished_saes(build, wanted)
    former = formerly_trained(build)
    todo = [spec for spec in asked if spec.sae_id not in finished]
    if not todo:
        progress.note(f"retrain: all {len(asked)} SAEs are unchanged, nothing to train")
    else:
        if len(todo) < len(asked):
            progress.note(f"retrain: {len(asked) - len(todo)} of {len(asked)} SAEs are unchanged")
        trained = _train(loaded, build, split, todo, wanted, device, base_model, progress)
        # The newest first: training.json names one environment, that of the latest run.
        finished = {**trained, **finished}
    _remove_stale(build, former - set(wanted), progress)
    write_record(loaded, build, split, finished, progress)


def _selected(loaded: LoadedManifest, only: str | None) -> list[SaeSpec]:
    asked = [s for s in loaded.saes if only is None or fnmatch.fnmatchcase(s.sae_id, only)]
    if not asked:
        raise UsageError(
            f"{only!r} matches no SAE",
            where="--only",
            expected=f"a glob over {loaded.saes[0].sae_id}, ..." if loaded.saes else "an SAE",
            next_step="`release show MANIFEST` lists the ids",
        )
    return asked


def _train(
    loaded: LoadedManifest,
    build: BuildFolder,
    split: Split,
    todo: list[SaeSpec],
    wanted: dict[str, str],
    device: str,
    base_model: str | None,
    progress: Progress,
) -> dict[str, FinishedSae]:
    """Train, write files and then the record of one SAE after the other."""
    from retrain.activation_cache import training_activations
    from retrain.environment import environment, repeatable
    from retrain.train import n_steps

    manifest = loaded.manifest
    row_of = {row.id: index for index, row in enumerate(split.train)}
    rows = {
        name: [row_of[row.id] for row in for_condition(split.train, condition)]
        for name, condition in manifest.data.conditions.items()
    }
    _refuse_empty(rows, todo)
    captured = training_activations(
        loaded, build, split.train, device=device, base_model=base_model, progress=progress
    )
    trained_on = TrainedOn(
        id=manifest.base_model.id,
        digest=captured.base_digest,
        source=captured.base_source,
        precision=manifest.base_model.precision,
    )
    total = sum(n_steps(len(rows[spec.condition]), manifest.recipe) for spec in todo)
    finished = {}
    with repeatable(device), progress.task("training", total=total) as task:
        for spec in todo:
            x = captured.vectors[spec.hf_hook_name][rows[spec.condition]]
            trained = _train_one(loaded, spec, x, device, task)
            files = _write_files(loaded, build, spec, trained, captured)
            finished[spec.sae_id] = FinishedSae(
                sae=sae_record(loaded, spec, trained, len(x), wanted[spec.sae_id], files),
                base_model=trained_on,
                environment=environment(device),
            )
            finished[spec.sae_id].write(build, spec.sae_id)
    return finished


def _refuse_empty(rows: dict[str, list[int]], todo: list[SaeSpec]) -> None:
    for spec in todo:
        if not rows[spec.condition]:
            raise UsageError(
                "no training completion belongs to the condition",
                where=f"data.conditions.{spec.condition}",
                expected="completions with one of its labels",
                next_step="`release sample MANIFEST`, or correct the labels",
            )


def _train_one(
    loaded: LoadedManifest, spec: SaeSpec, x: Tensor, device: str, task: Task
) -> Trained:
    from retrain.train import sae_seed, train_sae

    done = 0

    def on_step(step: int, loss: float, l0: float) -> None:
        nonlocal done
        task.status(f"{spec.sae_id} loss {loss:.3f} L0 {l0:.1f}")
        task.advance(step - done)
        done = step

    recipe = loaded.manifest.recipe
    own = recipe.of(spec.architecture, spec.variant)
    seed = sae_seed(recipe.seed, spec.sae_id)
    return train_sae(x, spec.d_sae, recipe, own, seed=seed, device=device, on_step=on_step)


def _write_files(
    loaded: LoadedManifest,
    build: BuildFolder,
    spec: SaeSpec,
    trained: Trained,
    captured: CapturedActivations,
) -> dict[str, str]:
    """Write both files of one SAE; their SHA-256 by name."""
    from retrain.export import sae_files

    files = sae_files(spec, loaded.manifest, trained.tensors, context_size=captured.longest)
    for name, content in files.items():
        write_atomically(build.sae_folder(spec.sae_id) / name, content)
    return {name: bytes_sha256(content) for name, content in files.items()}


def _remove_stale(build: BuildFolder, stale: set[str], progress: Progress) -> None:
    """Remove folders that a former training.json lists and the manifest no longer names."""
    for sae_id in sorted(stale):
        folder = build.sae_folder(sae_id)
        if folder.is_dir():
            shutil.rmtree(folder)
            progress.note(f"removed {sae_id}/: the manifest no longer names it")
