"""The stage `retrain`: from a manifest to SAE folders and training.json."""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.build_folder import BuildFolder, write_atomically
from manifests.data import Pooling
from manifests.data_at_hand import data_sha256
from manifests.digests import bytes_sha256, json_sha256
from manifests.errors import UsageError
from manifests.load import LoadedManifest
from manifests.matrix import SaeSpec
from manifests.nearest import did_you_mean
from manifests.progress import Progress
from retrain.inputs import wanted_digests
from retrain.record import sae_record, write_record
from retrain.resume import FinishedSae, finished_saes, former_record
from validators.training_record import TrainedOn, VectorCounts

if TYPE_CHECKING:
    from torch import Tensor

    from retrain.activations.training import TrainingActivations
    from retrain.jobs import Unit
    from retrain.planning.plan import Plan
    from retrain.training.train import Trained


def retrain(
    loaded: LoadedManifest,
    build: BuildFolder,
    *,
    progress: Progress,
    device: str | None = None,
    base_model: str | None = None,
    data: Path | None = None,
    only: str | None = None,
    engine: str = "local",
    ray_address: str | None = None,
    memory_gb: float | None = None,
) -> None:
    """Train the SAEs that are missing or out of date, and write training.json.

    Training sees the training part of the split alone; held-out data is never run through the base
    model here. Killed at any moment, a second call gives the same files as an uninterrupted one:
    finished SAEs are kept, captured activations are read, an unfinished SAE goes on from its last
    checkpoint or starts again from its seed.

    Args:
        loaded: the manifest.
        build: where its files lie.
        progress: one task over all steps.
        device: `cpu`, `cuda` or `cuda:N`; None: the manifest's target, else the CPU.
        base_model: a folder or Hub id in place of the manifest's base model.
        data: a file of the same form in place of the manifest's data.
        only: a glob over SAE ids; the others are left as they are.
        engine: `local` or `ray`.
        ray_address: of a running cluster.
        memory_gb: budget in place of the target's, in 10^9 bytes.

    Raises:
        UsageError: `only` matches no SAE of the manifest.
        DeviceUnavailable, PrecisionProblem: the device is not there, or has no bf16.
        BudgetTooSmall: one SAE, or the base model, does not fit into the memory.
        DataNotAtHand, DataUnreadable, CompletionsProblem: the data cannot be read.
        BaseModelProblem, BaseModelUnreachable, HookProblem: the base model cannot be run.
        NoVariance: a condition's activations are all the same.
    """
    options = _Options(device, base_model, data, only, engine, ray_address, memory_gb)
    _Run(loaded, build, options, progress).run()


@dataclass(frozen=True)
class _Options:
    """The arguments of `retrain` by the same names."""

    device: str | None
    base_model: str | None
    data: Path | None
    only: str | None
    engine: str
    ray_address: str | None
    memory_gb: float | None


class _Run:
    """One call of the stage."""

    def __init__(
        self,
        loaded: LoadedManifest,
        build: BuildFolder,
        options: _Options,
        progress: Progress,
    ) -> None:
        from retrain.planning.devices import chosen_device, refuse_missing_precision

        self.loaded, self.build, self.options, self.progress = loaded, build, options, progress
        manifest = loaded.manifest
        self.asked = _selected(loaded, options.only)
        device = chosen_device(options.device, manifest.hardware.target)
        refuse_missing_precision(
            manifest.base_model.precision,
            manifest.hardware.target,
            asked=options.device,
            device=device,
        )
        self.device, self.device_note = device.name, device.note
        if device.is_cuda:
            from retrain.environment import make_cublas_repeatable
            from retrain.training.precision import refuse_missing_tf32

            refuse_missing_tf32(manifest.recipe.products, device.name)
            make_cublas_repeatable()
        self.wanted = wanted_digests(
            loaded, device=device.name, base_model=options.base_model, data=options.data
        )

    def run(self) -> None:
        """Train what is missing, then write the record."""
        finished = finished_saes(self.build, self.wanted)
        former = former_record(self.build)
        todo = {spec.sae_id for spec in self.asked if spec.sae_id not in finished}
        if not todo:
            self.progress.note(
                f"retrain: all {len(self.asked)} SAEs are unchanged, nothing to train"
            )
            n_vectors, pooling = self._known_counts()
        else:
            if len(todo) < len(self.asked):
                n_kept = len(self.asked) - len(todo)
                self.progress.note(f"retrain: {n_kept} of {len(self.asked)} SAEs are unchanged")
            activations, plan = self._activations_and_plan()
            trained = self._train(activations, plan, todo)
            # The newest first: training.json names one environment, that of the latest run.
            finished = {**trained, **finished}
            n_vectors, pooling = _counts(activations), activations.pooling
        stale = set(former.saes if former else ()) - set(self.wanted)
        _remove_stale(self.build, stale, self.progress)
        write_record(
            self.loaded,
            self.build,
            n_vectors,
            finished,
            self.progress,
            kept=None if todo else former,
            base_model=self.options.base_model,
            data=self.options.data,
            pooling=pooling,
            memory_gb=self.options.memory_gb,
        )

    def _known_counts(self) -> tuple[Mapping[str, VectorCounts], Pooling]:
        """Vectors by condition where nothing was trained: as they were counted before."""
        record = former_record(self.build)
        conditions = self.loaded.manifest.data.conditions
        if record is not None and record.data.n_vectors.keys() == conditions.keys():
            return record.data.n_vectors, record.data.pooling
        activations, _ = self._activations_and_plan()
        return _counts(activations), activations.pooling

    def _least_counts(self) -> dict[str, int]:
        """Training vectors by condition, as far as they are known before the capture.

        How many a text gives is not: what one batch takes has to fit at least.
        """
        from manifests.completions import for_condition, load_split
        from manifests.data_at_hand import data_at_hand

        manifest, data = self.loaded.manifest, self.options.data
        most = manifest.recipe.batch_size
        pooling = data_at_hand(manifest.data, data).pooling
        if manifest.data.text is not None or pooling == "every_token":
            return dict.fromkeys(manifest.data.conditions, most)
        train = load_split(self.loaded, data=data).train
        return {
            name: max(1, len(for_condition(train, condition)))
            for name, condition in manifest.data.conditions.items()
        }

    def _activations_and_plan(self) -> tuple[TrainingActivations, Plan]:
        """Plan what can be planned before the capture, capture, and plan with what came out."""
        from retrain.activations.training import training_activations
        from retrain.planning.base_model_size import base_model_size
        from retrain.planning.budget import budget_for
        from retrain.planning.capture import Capture
        from retrain.planning.plan import plan
        from retrain.units import groups_of

        manifest, options = self.loaded.manifest, self.options
        if self.device_note:
            self.progress.note(self.device_note)
        hooks = {spec.hf_hook_name for spec in self.loaded.saes}
        capture = Capture(
            manifest.base_model,
            base_model_size(self.loaded, override=options.base_model),
            n_hooks=len(hooks),
        )
        is_cuda = self.device.startswith("cuda")
        budget = budget_for(manifest.hardware.target, self.device, memory_gb=options.memory_gb)
        first = [group for group, _ in groups_of(self.loaded, self._least_counts())]
        capture_bytes = plan(budget, first, capture, is_cuda=is_cuda).capture_bytes
        activations = training_activations(
            self.loaded,
            self.build,
            device=self.device,
            base_model=options.base_model,
            data=options.data,
            memory_bytes=capture_bytes,
            weights_bytes=capture.weights_bytes(),
            progress=self.progress,
        )
        n_train = {name: counts.train for name, counts in _counts(activations).items()}
        _refuse_empty(n_train, self.asked)
        groups = groups_of(self.loaded, n_train)
        made = plan(budget, [group for group, _ in groups], capture, is_cuda=is_cuda)
        self.progress.note(made.note())
        return activations, made

    def _train(
        self, activations: TrainingActivations, plan: Plan, todo: set[str]
    ) -> dict[str, FinishedSae]:
        """Train units, and write the files and then the record of each of their SAEs."""
        from retrain.engines import engine_named
        from retrain.training.train import n_steps
        from retrain.training_display import TrainingDisplay, total_steps
        from retrain.units import groups_of, units_of

        n_train = {name: counts.train for name, counts in _counts(activations).items()}
        groups = groups_of(self.loaded, n_train)
        every = units_of(self.loaded, groups, plan, activations.rows, device=self.device)
        # A unit with one missing SAE is trained whole: its size decides the last bits.
        units = [unit for unit in every if any(job.sae_id in todo for job in unit.jobs)]
        specs = {spec.sae_id: spec for spec in self.loaded.saes}
        steps = {
            id(unit): n_steps(n_train[specs[unit.jobs[0].sae_id].condition], unit.recipe)
            for unit in units
        }
        engine = engine_named(
            self.options.engine,
            ray_address=self.options.ray_address,
            checkpoint_of=self._checkpoint_of,
        )
        finished = {}
        total = total_steps((unit, steps[id(unit)]) for unit in units)
        with self.progress.task("training", total=total) as task:
            display = TrainingDisplay(task)
            for unit, trained in engine.run(units, activations.vectors, display.report):
                display.finished(unit, steps[id(unit)])
                for one in trained:
                    if one.sae_id in todo:
                        finished[one.sae_id] = self._finish(
                            specs[one.sae_id], one, unit, activations
                        )
                self._checkpoint_of(unit).unlink(missing_ok=True)
                # Not held while the next unit is trained.
                del trained, one
        self._remove_abandoned_checkpoints(every)
        return finished

    def _remove_abandoned_checkpoints(self, units: Sequence[Unit]) -> None:
        """Those of recipes and data that the manifest no longer states."""
        present = {self._checkpoint_of(unit) for unit in units}
        folder = self.build.work / "checkpoints"
        for path in folder.glob("*.pt") if folder.is_dir() else ():
            if path not in present:
                path.unlink()

    def _checkpoint_of(self, unit: Unit) -> Path:
        """Where the middle of a unit's training is kept, named by all that it depends on."""
        name = json_sha256([self.wanted[job.sae_id] for job in unit.jobs])
        return self.build.work / "checkpoints" / f"{name}.pt"

    def _finish(
        self, spec: SaeSpec, trained: Trained, unit: Unit, activations: TrainingActivations
    ) -> FinishedSae:
        """Write the files of one SAE and then its record."""
        from retrain.environment import environment

        precision = self.loaded.manifest.base_model.precision
        files = _write_files(
            self.loaded,
            self.build,
            spec,
            trained.tensors,
            context_size=activations.longest,
            data=self.options.data,
        )
        finished = FinishedSae(
            sae=sae_record(
                self.loaded,
                spec,
                trained,
                _counts(activations)[spec.condition].train,
                self.wanted[spec.sae_id],
                files,
                unit=unit,
            ),
            base_model=TrainedOn(
                id=self.loaded.manifest.base_model.id,
                digest=activations.base_digest,
                source=activations.base_source,
                precision=precision,
            ),
            environment=environment(self.device, engine=self.options.engine, precision=precision),
        )
        finished.write(self.build, spec.sae_id)
        return finished


def _selected(loaded: LoadedManifest, only: str | None) -> list[SaeSpec]:
    asked = [s for s in loaded.saes if only is None or fnmatch.fnmatchcase(s.sae_id, only)]
    if not asked:
        meant = did_you_mean(only or "", (s.sae_id for s in loaded.saes), n=3, cutoff=0.3)
        lists_all = f"`release show {loaded.path} --saes` lists the ids"
        raise UsageError(
            f"{only!r} matches no SAE",
            where="--only",
            expected=f"a glob over {loaded.saes[0].sae_id}, ..." if loaded.saes else "an SAE",
            next_step=f"{meant} {lists_all}" if meant else lists_all,
        )
    return asked


def _counts(activations: TrainingActivations) -> dict[str, VectorCounts]:
    """Vectors by condition."""
    whole = len(next(iter(activations.vectors.values())))
    return {
        name: VectorCounts(
            train=whole if rows is None else len(rows), held_out=activations.n_held_out[name]
        )
        for name, rows in activations.rows.items()
    }


def _refuse_empty(n_train: Mapping[str, int], asked: Sequence[SaeSpec]) -> None:
    for spec in asked:
        if n_train[spec.condition] == 0:
            raise UsageError(
                "no training completion belongs to the condition",
                where=f"data.conditions.{spec.condition}",
                expected="completions with one of its labels",
                next_step="`release sample MANIFEST`, or correct the labels",
            )


def _write_files(
    loaded: LoadedManifest,
    build: BuildFolder,
    spec: SaeSpec,
    tensors: dict[str, Tensor],
    *,
    context_size: int,
    data: Path | None,
) -> dict[str, str]:
    """Write both files of one SAE; their SHA-256 by name."""
    from retrain.export import DataSource, sae_files

    source = None if data is None else DataSource(data.name, data_sha256(data))
    files = sae_files(spec, loaded.manifest, tensors, context_size=context_size, data=source)
    for name, content in files.items():
        write_atomically(build.sae_folder(spec.sae_id) / name, content)
    return {name: bytes_sha256(content) for name, content in files.items()}


def _remove_stale(build: BuildFolder, stale: set[str], progress: Progress) -> None:
    """Remove folders that a former training.json lists and the manifest no longer names."""
    for sae_id in sorted(stale):
        folder = build.sae_folder(sae_id)
        # The record may have come with somebody's repository.
        assert folder.parent == build.repository
        if folder.is_dir():
            shutil.rmtree(folder)
            progress.note(f"removed {sae_id}/: the manifest no longer names it")
