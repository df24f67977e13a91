"""Which vectors are left out together when a probe is cross-validated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from validators.metrics.undefined import UndefinedMetric

N_FOLDS = 5


@dataclass(frozen=True)
class Folds:
    """A partition of the vectors, the same for every representation that is compared.

    Attributes:
        fold_of: [n] fold of each vector, from 0.
        n_folds: number of folds.
        kind: "grouped" where the vectors of a group share a fold, so that no group is both learnt
            from and judged; "single vectors" where they do not, since every vector is a group of
            its own or there are fewer groups than folds.
    """

    fold_of: NDArray[np.int64]
    n_folds: int
    kind: Literal["grouped", "single vectors"]


def grouped_folds(
    y: NDArray[np.bool_], groups: NDArray[np.integer[Any]], *, n_folds: int = N_FOLDS, seed: int
) -> Folds:
    """Stratified folds of whole groups, by scikit-learn's StratifiedGroupKFold.

    Where each group holds both labels, as scenarios do that were answered honestly and deceptively,
    nearly every fold has the class shares of the whole. Where each has one label, the folds get as
    close as whole groups allow, and one may be without a class.

    Args:
        y: labels [n], True is the positive class.
        groups: [n] the group of each vector.
        n_folds: number of folds, at least 2.
        seed: the same seed gives the same folds.

    Raises:
        UndefinedMetric: one class only, fewer vectors of a class than folds, or a class that whole
            groups put into a single fold, so that it could not be learnt without that fold.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    y = np.asarray(y, dtype=bool)
    _refuse_small_classes(y, n_folds)
    n_groups = len(np.unique(groups))
    is_grouped = n_folds <= n_groups < len(y)
    splitter = (StratifiedGroupKFold if is_grouped else StratifiedKFold)(
        n_splits=n_folds, shuffle=True, random_state=seed
    )
    kept_together = groups if is_grouped else None
    fold_of = np.full(len(y), -1, dtype=np.int64)
    for fold, (_, left_out) in enumerate(splitter.split(np.zeros(len(y)), y, kept_together)):
        fold_of[left_out] = fold
    for positive in (True, False):
        held = np.unique(fold_of[y == positive])
        if len(held) == 1:
            raise UndefinedMetric(
                f"all vectors labelled {_name(positive)} lie in groups of one fold, so that none "
                "is left to learn from",
                expected="at least two groups with vectors of each class",
            )
    return Folds(fold_of, n_folds, "grouped" if is_grouped else "single vectors")


def _refuse_small_classes(y: NDArray[np.bool_], n_folds: int) -> None:
    n_positive = int(y.sum())
    for positive, count in ((True, n_positive), (False, len(y) - n_positive)):
        if count == 0:
            raise UndefinedMetric(
                f"no vector is labelled {_name(positive)}, so there is nothing to tell apart"
            )
        if count < n_folds:
            raise UndefinedMetric(
                f"{count} of {len(y)} vectors are labelled {_name(positive)}, fewer than the "
                f"{n_folds} folds of the cross-validation"
            )


def _name(positive: bool) -> str:
    return "positive" if positive else "negative"
