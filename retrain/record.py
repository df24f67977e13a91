"""training.json, put together from what is known of each SAE.

`sae_record` is the part of one SAE, `write_record` the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.build_folder import BuildFolder
from manifests.data import Pooling
from manifests.data_at_hand import data_sha256
from manifests.load import LoadedManifest
from manifests.matrix import SaeSpec
from manifests.progress import Progress
from manifests.tool_version import tool_version
from retrain.resume import FinishedSae
from retrain.substitution import substitution
from validators.training_record import (
    FinalStep,
    PlannedFor,
    TrainedSae,
    TrainingData,
    TrainingRecord,
    VectorCounts,
)

if TYPE_CHECKING:
    from retrain.jobs import Unit
    from retrain.training.train import Trained


def sae_record(
    loaded: LoadedManifest,
    spec: SaeSpec,
    trained: Trained,
    n_train: int,
    inputs_digest: str,
    files: dict[str, str],
    *,
    unit: Unit,
) -> TrainedSae:
    """The part of one SAE.

    Args:
        loaded: the manifest.
        spec: the SAE.
        trained: what came out of its training.
        n_train: vectors it was trained on.
        inputs_digest: of all that its files depend on.
        files: SHA-256 of its files by name.
        unit: the piece of work that it was part of.
    """
    recipe = loaded.manifest.recipe
    seed = next(job.seed for job in unit.jobs if job.sae_id == spec.sae_id)
    return TrainedSae(
        inputs_digest=inputs_digest,
        seed=seed,
        n_train=n_train,
        epochs=recipe.epochs,
        steps=trained.steps,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        device=unit.device,
        n_saes_together=trained.n_saes_together,
        micro_batch=min(unit.micro_batch, recipe.batch_size),
        seconds=round(trained.seconds, 3),
        input_scale=trained.scale,
        final=FinalStep(loss=trained.final_loss, l0=trained.final_l0),
        loss_curve=trained.loss_curve,
        threshold_init=trained.threshold_init,
        files=files,
    )


def write_record(
    loaded: LoadedManifest,
    build: BuildFolder,
    n_vectors: Mapping[str, VectorCounts],
    finished: Mapping[str, FinishedSae],
    progress: Progress,
    *,
    kept: TrainingRecord | None = None,
    base_model: str | None = None,
    data: Path | None = None,
    pooling: Pooling | None = None,
    memory_gb: float | None = None,
) -> None:
    """Assemble training.json from the per-SAE records; leave it alone when it says the same.

    Args:
        loaded: the manifest, as it is written: `data` replaces nothing in it.
        build: where its files lie.
        n_vectors: by condition.
        finished: the SAEs that are trained, by id, the newest first: the environment is its own.
        progress: told when the file is written.
        kept: the former record where nothing was trained; what it says of the training stays.
        base_model: what `--base-model` named.
        data: what `--data` named.
        pooling: what was done where the manifest leaves it open; null: as the manifest says.
        memory_gb: what `--memory-gb` named.
    """
    newest = kept or next(iter(finished.values()))
    ordered = {s.sae_id: finished[s.sae_id].sae for s in loaded.saes if s.sae_id in finished}
    record = TrainingRecord(
        tool_version=tool_version(),
        manifest_digest=loaded.digest,
        base_model=newest.base_model,
        data=_data(loaded, n_vectors, data, pooling),
        substituted=substitution(
            loaded, base_model=base_model, base_digest=newest.base_model.digest, data=data
        ),
        target=kept.target if kept else planned_for(loaded, memory_gb),
        environment=newest.environment,
        seconds_total=round(sum(sae.seconds for sae in ordered.values()), 3),
        saes=ordered,
    )
    path = build.training_json
    if not (path.is_file() and path.read_bytes() == record.content()):
        record.write(path)
        progress.note(f"wrote {path.name}: {len(ordered)} SAEs")


def planned_for(loaded: LoadedManifest, memory_gb: float | None) -> PlannedFor:
    """The manifest's target, and the budget: `memory_gb` of the command line, else its own."""
    target = loaded.manifest.hardware.target
    return PlannedFor(
        device=target.device,
        memory_gb=target.memory_gb,
        compute_capability=target.compute_capability,
        budget_gb=target.memory_gb if memory_gb is None else memory_gb,
    )


def _data(
    loaded: LoadedManifest,
    n_vectors: Mapping[str, VectorCounts],
    replaced: Path | None,
    pooling: Pooling | None,
) -> TrainingData:
    stated = loaded.manifest.data
    pooling = pooling or stated.pooling
    assert pooling is not None, "nothing was captured without a pooling"
    file, sha256, dataset = stated.file, stated.sha256, None
    if replaced is not None:
        file, sha256 = replaced.name, data_sha256(replaced)
    elif file is None and stated.dataset is not None:
        dataset = stated.dataset.name
    return TrainingData(
        file=file,
        sha256=sha256,
        dataset=dataset,
        n_vectors=dict(n_vectors),
        pooling=pooling,
    )
