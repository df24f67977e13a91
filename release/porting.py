"""Measuring a build's portability; for the train-by-test matrix SAEs are trained first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from manifests.base_model import Precision
from manifests.build_folder import BuildFolder
from manifests.load import LoadedManifest
from manifests.progress import Progress
from validators.base_models.named_precisions import (
    named_precisions,
    precision_label,
    why_unavailable,
)
from validators.options import ValidateOptions
from validators.portability.stage import measure_portability
from validators.report import Report


def portability_of_release(
    loaded: LoadedManifest,
    build: BuildFolder,
    *,
    precisions: Sequence[str] = (),
    base_model: str | None = None,
    device: str = "cpu",
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
        device: `cpu`, `cuda` or `cuda:N`, for the base model and for training.
        only: globs over SAE ids; with any, report.json is left as it is.
        retrain_check: train every SAE again at each precision that can be run, its own included,
            and test it at all; what was published stays as it is.
        progress: told how far it is.

    Raises:
        ReleaseError: as `retrain` and `measure_portability`.
    """
    from retrain.environment import make_cublas_repeatable
    from retrain.planning.devices import chosen_device

    chosen = chosen_device(device, loaded.manifest.hardware.target)
    if chosen.is_cuda:
        make_cublas_repeatable()
    retrained: dict[str, Path] = {}
    if retrain_check:
        own = loaded.manifest.base_model.precision
        names = precisions or loaded.manifest.portability.precisions
        for named in named_precisions((precision_label(own), *names), trained_at=own):
            if why_unavailable(named, chosen.name) is None:
                folder = build.with_precision(named.label)
                _train_at(loaded, folder, named.precision, base_model, chosen.name, only, progress)
                retrained[named.label] = folder.repository
    options = ValidateOptions(
        base_model=base_model, device=chosen.name, only=only, keep_vectors=build.vectors
    )
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
    device: str,
    only: tuple[str, ...],
    progress: Progress,
) -> None:
    """Train what is asked for on activations of the base model at a precision."""
    from retrain.stage import retrain

    spec = loaded.manifest.base_model.model_copy(update={"precision": precision})
    manifest = loaded.manifest.model_copy(update={"base_model": spec})
    there = dataclasses.replace(loaded, manifest=manifest)
    progress.note(f"portability: SAEs trained in {precision.weights}")
    for glob in only or ("*",):
        retrain(there, build, progress=progress, device=device, base_model=base_model, only=glob)
