"""Measuring a build's portability; for the train-by-test matrix SAEs are trained first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from manifests.base_model import Precision
from manifests.build_folder import BuildFolder
from manifests.load import LoadedManifest
from manifests.progress import Progress
from validators.base_models.named_precisions import named_precisions
from validators.options import ValidateOptions
from validators.portability.precision_run import quiet_bitsandbytes
from validators.portability.stage import measure_portability
from validators.report import Report


def portability_of_release(
    loaded: LoadedManifest,
    build: BuildFolder,
    *,
    precisions: Sequence[str] = (),
    base_model: str | None = None,
    only: tuple[str, ...] = (),
    retrain_check: bool = False,
    progress: Progress,
) -> Report:
    """Run the stage `portability`; with `retrain_check`, on SAEs of each precision as well.

    Args:
        loaded: the manifest.
        build: where its SAEs lie; those of other precisions lie under `work/precisions/`.
        precisions: names; none: those of the manifest.
        base_model: a folder or Hub id in place of the manifest's base model.
        only: globs over SAE ids; with any, report.json is left as it is.
        retrain_check: train every SAE again at each precision, and test it at all.
        progress: told how far it is.

    Raises:
        ReleaseError: as `retrain` and `measure_portability`.
    """
    retrained: dict[str, Path] = {}
    if retrain_check:
        own = loaded.manifest.base_model.precision
        names = precisions or loaded.manifest.portability.precisions
        for named in named_precisions(names, trained_at=own):
            if named.precision is not None:
                folder = build.with_precision(named.label)
                _train_at(loaded, folder, named.precision, base_model, only, progress)
                retrained[named.label] = folder.repository
    options = ValidateOptions(base_model=base_model, only=only, keep_vectors=build.vectors)
    return measure_portability(
        loaded,
        build,
        precisions=precisions,
        options=options,
        retrained=retrained,
        progress=progress,
    )


def _train_at(
    loaded: LoadedManifest,
    build: BuildFolder,
    precision: Precision,
    base_model: str | None,
    only: tuple[str, ...],
    progress: Progress,
) -> None:
    """Train what is asked for on activations of the base model at a precision."""
    from retrain.stage import retrain

    spec = loaded.manifest.base_model.model_copy(update={"precision": precision})
    manifest = loaded.manifest.model_copy(update={"base_model": spec})
    there = dataclasses.replace(loaded, manifest=manifest)
    progress.note(f"portability: SAEs trained in {precision.weights}")
    with quiet_bitsandbytes():
        for glob in only or ("*",):
            retrain(there, build, progress=progress, base_model=base_model, only=glob)
