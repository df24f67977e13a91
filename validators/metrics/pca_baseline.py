"""The baseline: what a few principal components explain, without any SAE."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.conventions import PCA_RANK
from validators.metrics.reconstruction import ReconstructionSums
from validators.metrics.undefined import UndefinedMetric


def pca_explained_variance(
    train: NDArray[np.floating[Any]], held_out: NDArray[np.floating[Any]], rank: int = PCA_RANK
) -> float:
    """Explained variance on `held_out` of a PCA of `rank` components fitted on `train`.

    The reconstruction is the training mean plus the projection on the components; explained
    variance is that of `ReconstructionSums`, about the held-out mean.

    Args:
        train: vectors [n_train, d_in] that the components are fitted on.
        held_out: vectors [n, d_in] that the number is for.
        rank: number of components.

    Raises:
        UndefinedMetric: fewer training vectors or dimensions than components, or no variance.
    """
    from sklearn.decomposition import PCA

    if min(train.shape) < rank:
        raise UndefinedMetric(
            f"{rank} components need at least {rank} training vectors and dimensions; "
            f"there are {train.shape[0]} and {train.shape[1]}"
        )
    # The full decomposition: the randomised one would give another number on another machine.
    pca = PCA(n_components=rank, svd_solver="full").fit(train.astype(np.float64))
    sums = ReconstructionSums()
    if len(held_out):
        sums.add(held_out, pca.inverse_transform(pca.transform(held_out.astype(np.float64))))
    return sums.explained_variance()
