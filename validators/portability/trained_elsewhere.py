"""SAEs that were trained again at each precision, tested at every one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from manifests.progress import Progress, Silent
from validators.evaluation import BATCH
from validators.evidence.activations import Vectors
from validators.manual.path_agreement import run_saelens
from validators.metrics.bootstrap import (
    Estimate,
    explained_variance_interval,
    squared_errors,
    squares_about_mean,
)
from validators.metrics.latent_overlap import LatentOverlap, mean_of_defined
from validators.portability.precision_run import PrecisionRun
from validators.portability.shifts import estimated, rows_of
from validators.reading.local_repository import LocalRepository
from validators.report import Measurement, TrainedAt
from validators.subjects import RepositorySubject, SaeSubject


def train_test_matrix(
    saes: Sequence[SaeSubject],
    runs: Mapping[str, PrecisionRun],
    trained: Mapping[str, Path],
    progress: Progress,
) -> dict[str, tuple[TrainedAt, ...]]:
    """Explained variance, L0 and overlap of every SAE, for each pair of precisions.

    The overlap is that of one SAE's active latents at the precision it was trained at and at the
    one it is tested at.

    Args:
        saes: the published SAEs, whose ids the others share.
        runs: the base model at each precision, by label.
        trained: by label, a folder of SAEs that were trained at it.
        progress: counts SAEs.
    """
    if not trained:
        return {}
    matrix: dict[str, tuple[TrainedAt, ...]] = {}
    with progress.task("train by test", total=len(saes) * len(trained)) as task:
        for sae in saes:
            cells: list[TrainedAt] = []
            for label, folder in trained.items():
                if (folder / sae.sae_id).is_dir() and label in runs:
                    cells += _row(sae, folder, label, runs)
                task.advance()
            matrix[sae.sae_id] = tuple(cells)
    return matrix


def _row(
    sae: SaeSubject, folder: Path, trained_at: str, runs: Mapping[str, PrecisionRun]
) -> list[TrainedAt]:
    parent = RepositorySubject(LocalRepository(folder), sae.parent.claim, progress=Silent())
    own = SaeSubject(parent, sae.sae_id)
    labels = frozenset(sae.claim.manifest.data.conditions[sae.claimed.condition].labels)
    reference = runs[trained_at].vectors_of(sae)
    keep = rows_of(runs[trained_at].held_out, reference, labels)
    groups = runs[trained_at].held_out.groups[keep]
    return [
        TrainedAt(
            trained_at=trained_at,
            tested_at=label,
            metrics=_cell(own, reference[keep], run.vectors_of(sae)[keep], groups),
        )
        for label, run in runs.items()
    ]


def _cell(
    sae: SaeSubject, own: Vectors, other: Vectors, groups: NDArray[np.int64]
) -> dict[str, Measurement]:
    """One SAE on vectors [n, d_in] of its own precision and of another, of groups [n]."""
    finite = np.isfinite(own).all(axis=1) & np.isfinite(other).all(axis=1)
    own, other, groups = own[finite], other[finite], groups[finite]
    overlap, errors, n_active = LatentOverlap(int(sae.saelens.cfg.d_sae)), np.zeros(len(own)), 0
    for start in range(0, len(own), BATCH):
        batch = slice(start, start + BATCH)
        before, _ = run_saelens(sae.saelens, own[batch], sae.manual.decodes_latents_alone)
        after, x_hat = run_saelens(sae.saelens, other[batch], sae.manual.decodes_latents_alone)
        errors[batch] = squared_errors(other[batch], x_hat)
        overlap.add(before, after)
        n_active += int(np.count_nonzero(after))
    n = len(own)

    def explained_variance() -> Estimate:
        return explained_variance_interval(errors, squares_about_mean(other), groups)

    def jaccard() -> Estimate:
        return mean_of_defined(overlap.jaccard_of_vectors(), groups)

    found = {
        "explained_variance": estimated(explained_variance, n),
        "jaccard": estimated(jaccard, n),
    }
    if n:
        found["l0"] = Measurement(
            value=n_active / n, n=n, split="held_out", unit="latents per vector"
        )
    return found
