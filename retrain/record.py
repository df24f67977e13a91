"""training.json, put together from what is known of each SAE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.build_folder import BuildFolder
from manifests.completions import Split, for_condition
from manifests.load import LoadedManifest
from manifests.matrix import SaeSpec
from manifests.progress import Progress
from manifests.tool_version import tool_version
from retrain.resume import FinishedSae
from validators.training_record import (
    FinalStep,
    TrainedSae,
    TrainingData,
    TrainingRecord,
    VectorCounts,
)

if TYPE_CHECKING:
    from retrain.train import Trained


def sae_record(
    loaded: LoadedManifest,
    spec: SaeSpec,
    trained: Trained,
    n_train: int,
    inputs_digest: str,
    files: dict[str, str],
) -> TrainedSae:
    """The part of one SAE; `files` has the SHA-256 of its files by name."""
    from retrain.train import sae_seed

    recipe = loaded.manifest.recipe
    return TrainedSae(
        inputs_digest=inputs_digest,
        seed=sae_seed(recipe.seed, spec.sae_id),
        n_train=n_train,
        epochs=recipe.epochs,
        steps=trained.steps,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
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
    split: Split,
    finished: dict[str, FinishedSae],
    progress: Progress,
) -> None:
    """Assemble training.json from the per-SAE records; leave it alone when it says the same."""
    manifest, data = loaded.manifest, loaded.manifest.data.at_hand()
    newest = next(iter(finished.values()))
    ordered = {s.sae_id: finished[s.sae_id].sae for s in loaded.saes if s.sae_id in finished}
    record = TrainingRecord(
        tool_version=tool_version(),
        manifest_digest=loaded.digest,
        base_model=newest.base_model,
        data=TrainingData(
            file=data.file,
            sha256=data.sha256,
            n_vectors={
                name: VectorCounts(
                    train=len(for_condition(split.train, condition)),
                    held_out=len(for_condition(split.held_out, condition)),
                )
                for name, condition in manifest.data.conditions.items()
            },
            pooling=data.pooling,
        ),
        environment=newest.environment,
        seconds_total=round(sum(sae.seconds for sae in ordered.values()), 3),
        saes=ordered,
    )
    path = build.training_json
    if not (path.is_file() and path.read_bytes() == record.content()):
        record.write(path)
        progress.note(f"wrote {path.name}: {len(ordered)} SAEs")
