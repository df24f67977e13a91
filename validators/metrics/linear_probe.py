"""How well a direction that was learnt on other vectors tells two classes apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.folds import Folds
from validators.metrics.label_permutations import permuted_labels
from validators.metrics.ridge_path import Floats, RidgePath, spectrum
from validators.metrics.undefined import UndefinedMetric

N_PERMUTATIONS = 1_000
CHANCE = (0.025, 0.975)

# Penalties in units of the mean squared singular value, strongest first: a tie takes the first.
# The first nearly compares with the two class means, the last is nearly without a penalty.
STRENGTHS = (1e2, 1e1, 1e0, 1e-1, 1e-2)

# What is left out together within the training folds: groups, or this many sets of whole groups.
MAX_BLOCKS = 10

# Balanced accuracies are sums of a few fractions; two that differ by less are equal.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Probe:
    """A cross-validated linear probe, and what it reaches with permuted labels.

    Attributes:
        n: vectors.
        n_positive: those of the positive class.
        n_columns: dimensions that vary over the vectors.
        balanced_accuracy: mean of the two classes' shares of vectors told rightly, over all
            out-of-fold predictions.
        spread: standard deviation (ddof 1) of the folds' own balanced accuracies, over folds with
            both classes; None for fewer than two of them.
        auroc: share of the pairs of a positive and a negative vector of the same fold where the
            positive one has the higher score, ties counted half; None where no fold has both.
        auroc_spread: standard deviation (ddof 1) of the folds' own AUROC; None as `spread`.
        majority_share: share of the larger class; what always answering with it gets right.
        p_value: (1 + permutations that reach at least `auroc`) / (1 + permutations). Of the two
            numbers AUROC counts by how much a vector is told, and finds a weak signal more often;
            where it is undefined, the p-value is that of the balanced accuracy.
        chance_low: 2.5% quantile of the balanced accuracies with permuted labels.
        chance_high: 97.5% quantile.
        strengths: penalty chosen for each fold, in units of the mean squared singular value.
        scores: [n] out-of-fold score, above 0 for the positive class, in standard deviations of the
            training vectors' left-out scores.
        predictions: [n] out-of-fold, True where the score is above 0.
        null: [n_permutations] with permuted labels, AUROC, or where that is undefined, balanced
            accuracy.
    """

    n: int
    n_positive: int
    n_columns: int
    balanced_accuracy: float
    spread: float | None
    auroc: float | None
    auroc_spread: float | None
    majority_share: float
    p_value: float
    chance_low: float
    chance_high: float
    strengths: tuple[float, ...]
    scores: NDArray[np.float64]
    predictions: NDArray[np.bool_]
    null: NDArray[np.float64]

    @property
    def tested(self) -> float:
        """The value that `null` is about."""
        return self.balanced_accuracy if self.auroc is None else self.auroc


def linear_probe(
    x: NDArray[np.floating[Any]],
    y: NDArray[np.bool_],
    groups: NDArray[np.integer[Any]],
    folds: Folds,
    *,
    seed: int,
    n_permutations: int = N_PERMUTATIONS,
) -> Probe:
    """Cross-validate a ridge probe, and repeat all of it with permuted labels.

    For each fold, on the vectors outside of it: dimensions are standardised; labels are fitted by
    ridge regression, which is regularised linear discriminant analysis; of `STRENGTHS`, the one
    with the best balanced accuracy of left-out groups is taken, the stronger where they tie. A
    vector is called positive where its value is above the midpoint between the means of the two
    classes' left-out values. Every step that sees labels sees the permuted ones in its repetition,
    the choice of the strength included.

    Args:
        x: activations or latents [n, d].
        y: labels [n].
        groups: [n] the group of each vector.
        folds: of the same vectors, see `grouped_folds`.
        seed: of the permutations and of the sets that groups are left out in.
        n_permutations: how many permuted labellings.

    Raises:
        UndefinedMetric: a value is not finite, or no dimension varies within a training fold.

    Source: Hastie, Tibshirani & Friedman 2009, "The Elements of Statistical Learning", sections
    4.3 and 7.10; Ojala & Garriga 2010, "Permutation tests for studying classifier performance",
    JMLR 11, test 1; docs/terms.md#probe_balanced_accuracy.
    """
    y = np.asarray(y, dtype=bool)
    if not np.isfinite(x).all():
        raise UndefinedMetric("an activation is not finite")
    permuted = permuted_labels(y, np.asarray(groups, np.int64), n_permutations, seed)
    labels = np.concatenate([y[None], permuted]).T
    units = groups if folds.kind == "grouped" else np.arange(len(y))
    scores = np.empty(len(y))
    predictions = np.empty(labels.shape, dtype=bool)
    chosen = []
    rightly, n_pairs = np.zeros(labels.shape[1]), np.zeros(labels.shape[1])
    for fold in range(folds.n_folds):
        left_out = folds.fold_of == fold
        blocks = _blocks(units[~left_out], seed)
        values, strength = _left_out_values(x, labels[~left_out], left_out, blocks)
        predictions[left_out] = values > 0
        scores[left_out] = values[:, 0]
        rightly += _pairs_in_order(values, labels[left_out])
        n_pairs += labels[left_out].sum(axis=0) * (~labels[left_out]).sum(axis=0)
        chosen.append(strength)
    reached = balanced_accuracies(predictions, labels)
    areas = np.where(n_pairs > 0, rightly / np.maximum(n_pairs, 1), 0.5)
    tested = areas if n_pairs[0] else reached
    of_folds, areas_of_folds = _by_fold(scores, predictions[:, 0], y, folds)
    low, high = np.quantile(reached[1:], CHANCE)
    n_positive = int(y.sum())
    return Probe(
        n=len(y),
        n_positive=n_positive,
        n_columns=int((x.max(axis=0) > x.min(axis=0)).sum()),
        balanced_accuracy=float(reached[0]),
        spread=_spread(of_folds),
        auroc=float(areas[0]) if n_pairs[0] else None,
        auroc_spread=_spread(areas_of_folds),
        majority_share=max(n_positive, len(y) - n_positive) / len(y),
        p_value=_share_reaching(tested[1:], tested[0]),
        chance_low=float(low),
        chance_high=float(high),
        strengths=tuple(chosen),
        scores=scores,
        predictions=predictions[:, 0],
        null=tested[1:],
    )


def peak_p_value(probes: Sequence[Probe]) -> float:
    """p-value of the best of several probes of the same vectors, labels, groups and seed.

    The peak is the one with the highest AUROC, or balanced accuracy where that is undefined. It is
    the best of many, so that it is compared with the best of the same layers under each
    permutation: (1 + permutations whose best reaches it) / (1 + permutations).

    Source: Westfall & Young 1993, "Resampling-Based Multiple Testing", the single-step maximum.
    """
    best = np.max([probe.null for probe in probes], axis=0)
    return _share_reaching(best, max(probe.tested for probe in probes))


def balanced_accuracies(
    predictions: NDArray[np.bool_], labels: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """[columns] mean of the two classes' shares of right predictions.

    Args:
        predictions: [n, columns].
        labels: [n, columns]; a class that a column lacks counts as told by chance, 0.5.
    """
    n, n_positive = len(labels), labels.sum(axis=0)
    right_positives = (predictions & labels).sum(axis=0)
    right_negatives = n - (predictions | labels).sum(axis=0)
    shares = [
        np.where(count > 0, right / np.maximum(count, 1), 0.5)
        for right, count in ((right_positives, n_positive), (right_negatives, n - n_positive))
    ]
    return np.asarray(0.5 * (shares[0] + shares[1]))


def _left_out_values(
    x: NDArray[np.floating[Any]],
    labels: NDArray[np.bool_],
    left_out: NDArray[np.bool_],
    blocks: NDArray[np.int64],
) -> tuple[NDArray[np.float64], float]:
    """[n_left_out, columns] values beyond the threshold, and the strength of the first column."""
    # A thousand columns at half the time; the difference is far below that of one vector.
    axes = spectrum(x[~left_out], x[left_out]).as_float32()
    path = RidgePath(axes, labels, blocks)
    best = np.full(labels.shape[1], -1.0)
    values = np.empty((int(left_out.sum()), labels.shape[1]))
    first = STRENGTHS[0]
    for strength in STRENGTHS:
        fit = path.at(strength * axes.unit)
        threshold = _midpoints(fit.within, labels)
        reached = balanced_accuracies(fit.within > threshold, labels)
        better = reached > best + _ROUNDING
        scale = fit.within[:, better].std(axis=0)
        values[:, better] = (fit.left_out[:, better] - threshold[better]) / np.where(
            scale > 0, scale, 1
        )
        best[better] = reached[better]
        if better[0]:
            first = strength
    return values, first


def _midpoints(values: Floats, labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[columns] midway between the means of the two classes' values [n, columns]."""
    n_positive = labels.sum(axis=0)
    of_positives = (values * labels).sum(axis=0, dtype=np.float64)
    of_negatives = values.sum(axis=0, dtype=np.float64) - of_positives
    return np.asarray(
        0.5
        * (
            of_positives / np.maximum(n_positive, 1)
            + of_negatives / np.maximum(len(values) - n_positive, 1)
        )
    )


def _blocks(units: NDArray[np.integer[Any]], seed: int) -> NDArray[np.int64]:
    """[n] at most `MAX_BLOCKS` sets of whole units, of about as many units each."""
    _, index = np.unique(units, return_inverse=True)
    order = np.random.default_rng(seed).permutation(int(index.max()) + 1)
    return np.asarray(order[index] % MAX_BLOCKS)


def _pairs_in_order(values: NDArray[np.float64], labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[columns] pairs of a positive and a negative with the positive higher, ties half."""
    from scipy.stats import rankdata

    n_positive = labels.sum(axis=0)
    ranks = rankdata(values, axis=0)
    return np.asarray((ranks * labels).sum(axis=0) - n_positive * (n_positive + 1) / 2)


def _by_fold(
    scores: NDArray[np.float64],
    predictions: NDArray[np.bool_],
    y: NDArray[np.bool_],
    folds: Folds,
) -> tuple[list[float], list[float]]:
    """Balanced accuracy and AUROC of each fold that has both classes."""
    from sklearn.metrics import roc_auc_score

    accuracies, areas = [], []
    for fold in range(folds.n_folds):
        rows = folds.fold_of == fold
        n_positive = int(y[rows].sum())
        if not 0 < n_positive < rows.sum():
            continue
        accuracies.append(float(balanced_accuracies(predictions[rows, None], y[rows, None])[0]))
        areas.append(float(roc_auc_score(y[rows], scores[rows])))
    return accuracies, areas


def _spread(values: list[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _share_reaching(null: NDArray[np.float64], value: float) -> float:
    """(1 + #{null >= value}) / (1 + #null); equal up to rounding counts as reached."""
    return float((1 + (null >= value - _ROUNDING).sum()) / (1 + len(null)))
