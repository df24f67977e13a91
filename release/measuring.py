"""Measuring a manifest's build: SAEs of further seeds are trained first where it names any."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from manifests.build_folder import BuildFolder
from manifests.load import LoadedManifest
from manifests.progress import Progress
from validators.measuring.stage import MeasuredBuild, measure_build
from validators.options import ValidateOptions
from validators.selection import saes_named


def measure_release(
    loaded: LoadedManifest,
    build: BuildFolder,
    *,
    base_model: str | None = None,
    device: str | None = None,
    only: tuple[str, ...] = (),
    progress: Progress,
) -> MeasuredBuild:
    """Train the SAEs of `measure.stability.seeds` that are missing, then compute the tables.

    Args:
        loaded: the manifest.
        build: where its SAEs lie; those of a further seed lie under `work/seeds/`.
        base_model: a folder or Hub id in place of the manifest's base model.
        device: where SAEs of further seeds are trained; None: the manifest's target.
        only: globs over SAE ids; with any, report.json is left as it is.
        progress: told how far it is.

    Raises:
        UsageError: a glob fits no SAE.
        ReleaseError: as `retrain` and `measure_build`.
    """
    saes_named(tuple(spec.sae_id for spec in loaded.saes), only)
    options = ValidateOptions(base_model=base_model, only=only, keep_vectors=build.vectors)
    return measure_build(
        loaded,
        build,
        options=options,
        retrained={
            seed: _trained_with(loaded, build.with_seed(seed), seed, base_model, device, progress)
            for seed in loaded.manifest.measure.stability.seeds
        },
        progress=progress,
    )


def _trained_with(
    loaded: LoadedManifest,
    build: BuildFolder,
    seed: int,
    base_model: str | None,
    device: str | None,
    progress: Progress,
) -> Path:
    """Train with another seed what is asked for; the folder of the SAEs."""
    from retrain.stage import retrain

    recipe = loaded.manifest.recipe.model_copy(update={"seed": seed})
    manifest = loaded.manifest.model_copy(update={"recipe": recipe})
    reseeded = dataclasses.replace(loaded, manifest=manifest)
    progress.note(f"measure: SAEs with the seed {seed}, to see what depends on it")
    for glob in manifest.measure.stability.retrained:
        retrain(reseeded, build, progress=progress, device=device, base_model=base_model, only=glob)
    return build.repository
