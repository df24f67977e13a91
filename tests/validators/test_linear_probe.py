"""The probe against explicit refits, scikit-learn's metrics, and data with and without a signal."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegressionCV, Ridge
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from validators.metrics.folds import Folds, grouped_folds
from validators.metrics.linear_probe import (
    STRENGTHS,
    Probe,
    balanced_accuracies,
    linear_probe,
    peak_p_value,
)
from validators.metrics.ridge_path import RidgePath, spectrum
from validators.metrics.undefined import UndefinedMetric


def planted(
    seed: int, *, n: int = 120, d_in: int = 12, d: float = 0.0, size: int = 10
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]]:
    """Vectors with a class difference d along the first dimension; both labels in each group."""
    generator = np.random.default_rng(seed)
    y = np.arange(n) % 2 == 1
    x = generator.standard_normal((n, d_in))
    x[:, 0] += d * y
    return x.astype(np.float32), y, np.arange(n) // size


def probe(
    x: NDArray[np.float32], y: NDArray[np.bool_], groups: NDArray[np.int64], permutations: int = 99
) -> Probe:
    folds = grouped_folds(y, groups, seed=0)
    return linear_probe(x, y, groups, folds, seed=0, n_permutations=permutations)


def relative_to_midpoint(
    model: Ridge, train: NDArray[np.float64], y: NDArray[np.bool_], x: NDArray[np.float64]
) -> NDArray[np.float64]:
    fitted = model.fit(train, y.astype(float)).predict(train)
    return np.asarray(model.predict(x) - (fitted[y].mean() + fitted[~y].mean()) / 2)


@pytest.mark.parametrize("d_in", [8, 70])
@pytest.mark.parametrize("strength", [0.5, 40.0])
def test_the_closed_form_is_what_refitting_without_each_block_gives(
    d_in: int, strength: float
) -> None:
    generator = np.random.default_rng(d_in)
    x = generator.standard_normal((50, d_in)) * generator.uniform(1, 9, d_in) + 3
    y = generator.random((50, 3)) < [0.5, 0.3, 0.6]
    blocks = np.repeat([4, 0, 9, 2], 10)
    scaler = StandardScaler().fit(x[:40])
    z, left_out = scaler.transform(x[:40]), scaler.transform(x[40:])
    found = RidgePath(spectrum(x[:40], x[40:]), y[:40], blocks).at(strength)
    for column in range(3):
        labels = y[:40, column]
        expected = relative_to_midpoint(Ridge(alpha=strength), z, labels, left_out)
        np.testing.assert_allclose(found.left_out[:, column], expected, atol=1e-8)
        for block in np.unique(blocks):
            rows = blocks == block
            expected = relative_to_midpoint(Ridge(alpha=strength), z[~rows], labels[~rows], z[rows])
            np.testing.assert_allclose(found.within[rows, column], expected, atol=1e-8)


def test_the_whole_procedure_is_that_of_explicit_refits() -> None:
    x, y, groups = planted(3, d_in=30, d=1.0)
    y = y & (np.arange(len(y)) % 6 != 1)  # a third is positive
    folds = grouped_folds(y, groups, seed=0)
    found = linear_probe(x, y, groups, folds, seed=0, n_permutations=3)
    for fold in range(folds.n_folds):
        test = folds.fold_of == fold
        scaler = StandardScaler().fit(x[~test].astype(np.float64))
        z, left_out = scaler.transform(x[~test].astype(np.float64)), scaler.transform(x[test])
        labels, inner = y[~test], groups[~test]
        # 12 groups, of which at least 9 are in training; n > d: n d / min(n - 1, d) = n.
        unit, best = len(z), -1.0
        for strength in STRENGTHS:
            model = Ridge(alpha=strength * unit)
            within = np.empty(len(z))
            for group in np.unique(inner):
                rows = inner == group
                within[rows] = relative_to_midpoint(model, z[~rows], labels[~rows], z[rows])
            threshold = (within[labels].mean() + within[~labels].mean()) / 2
            reached = balanced_accuracy_score(labels, within > threshold)
            if reached > best + 1e-9:
                best, chosen = reached, strength
                values = relative_to_midpoint(model, z, labels, left_out) - threshold
                scores = values / within.std()
        assert found.strengths[fold] == chosen
        np.testing.assert_allclose(found.scores[test], scores, atol=2e-3)  # float32
        np.testing.assert_array_equal(found.predictions[test], scores > 0)


def test_the_metrics_are_those_of_scikit_learn() -> None:
    x, y, groups = planted(1, n=150, d=1.0)
    y = y & (np.arange(len(y)) % 6 != 1)
    folds = grouped_folds(y, groups, seed=0)
    found = linear_probe(x, y, groups, folds, seed=0, n_permutations=9)
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(y, found.predictions))
    rows = [folds.fold_of == fold for fold in range(5)]
    of_folds = [balanced_accuracy_score(y[r], found.predictions[r]) for r in rows]
    assert found.spread == pytest.approx(np.std(of_folds, ddof=1))
    areas = [roc_auc_score(y[r], found.scores[r]) for r in rows]
    assert found.auroc_spread == pytest.approx(np.std(areas, ddof=1))
    pairs = [y[r].sum() * (~y[r]).sum() for r in rows]
    assert found.auroc == pytest.approx(np.dot(areas, pairs) / sum(pairs))
    assert found.n_positive == 50
    assert found.majority_share == pytest.approx(100 / 150)


def test_balanced_accuracy_is_the_one_worked_by_hand() -> None:
    labels = np.array([[1, 1], [1, 1], [1, 1], [1, 1], [0, 1], [0, 1]], dtype=bool)
    predictions = np.array([[1, 1], [1, 0], [1, 1], [0, 1], [0, 1], [1, 1]], dtype=bool)
    # 3 of 4 and 1 of 2: (0.75 + 0.5) / 2. The second column has no negatives: (5/6 + 0.5) / 2.
    np.testing.assert_allclose(balanced_accuracies(predictions, labels), [0.625, 2 / 3])


def test_classes_that_lie_apart_are_told_perfectly() -> None:
    x, y, groups = planted(0, d=40.0)
    found = probe(x, y, groups)
    assert found.balanced_accuracy == found.auroc == 1.0
    assert found.spread == found.auroc_spread == 0.0
    assert found.p_value == 1 / 100  # none of 99 permutations reaches 1
    assert found.chance_low < 0.5 < found.chance_high < 0.8


def test_the_probe_agrees_with_logistic_regression() -> None:
    x, y, groups = planted(5, n=400, d_in=20, d=1.5)
    folds = grouped_folds(y, groups, seed=0)
    found = linear_probe(x, y, groups, folds, seed=0, n_permutations=9)
    predictions = np.empty(len(y), dtype=bool)
    for fold in range(5):
        test = folds.fold_of == fold
        logistic = LogisticRegressionCV(
            Cs=5, cv=3, scoring="balanced_accuracy", l1_ratios=(0,), use_legacy_attributes=False
        )
        model = make_pipeline(StandardScaler(), logistic).fit(x[~test], y[~test])
        predictions[test] = model.predict(x[test])
    expected = balanced_accuracy_score(y, predictions)
    # Both are near the best possible, Phi(0.75) = 0.77; 0.03 is 12 of 400 vectors.
    assert found.balanced_accuracy == pytest.approx(expected, abs=0.03)
    assert found.balanced_accuracy > 0.7


def test_an_uneven_class_is_not_answered_with_the_majority() -> None:
    x, y, groups = planted(2, n=300, d_in=100, d=2.5)
    y = np.arange(300) % 10 == 1
    x[:, 0] = np.random.default_rng(9).standard_normal(300) + 2.5 * y
    found = probe(x, y, groups, 9)
    assert found.majority_share == 0.9
    told = found.predictions[y].mean()
    # Within the class of 30, 0.5 would be 3 standard errors below what is asked for.
    assert told > 0.6


def test_dead_latents_and_wide_latents_change_nothing() -> None:
    x, y, groups = planted(4, d=1.0)
    with_dead = np.concatenate([x, np.zeros((len(x), 5)), np.full((len(x), 2), 7)], axis=1)
    plain, dead = probe(x, y, groups), probe(with_dead.astype(np.float32), y, groups)
    np.testing.assert_allclose(dead.scores, plain.scores, atol=1e-4)
    assert dead.n_columns == plain.n_columns == 12


def test_a_difference_between_whole_groups_is_not_taken_for_a_signal_of_each_vector() -> None:
    generator = np.random.default_rng(8)
    groups = np.arange(120) // 20
    y = groups % 2 == 1
    # Six points, each with 20 near copies: vectors permuted one by one would have p near 0.01.
    x = generator.standard_normal((6, 5))[groups] + 0.01 * generator.standard_normal((120, 5))
    x[:, 0] += 6 * y
    found = probe(x.astype(np.float32), y, groups, 199)
    # 20 arrangements of three positive among six groups, half of them mirrored: 1/20 at best.
    assert found.balanced_accuracy == 1.0
    assert found.p_value > 0.02


def test_p_values_without_a_signal_are_spread_evenly() -> None:
    values = [probe(*planted(seed, n=60, d_in=6), 19).p_value for seed in range(60)]
    # Of 60 with rate 0.25, at most 21 with 97.5% by the binomial; p <= 0.25 is 5 of 20.
    assert sum(value <= 0.25 for value in values) <= 22
    assert 0.35 < np.mean(values) < 0.7


def test_the_same_seed_gives_the_same_numbers() -> None:
    x, y, groups = planted(6, d=1.0)
    first, second = probe(x, y, groups), probe(x, y, groups)
    np.testing.assert_array_equal(first.null, second.null)
    np.testing.assert_array_equal(first.scores, second.scores)


def test_the_peak_is_compared_with_the_best_of_each_permutation() -> None:
    probes = [probe(*planted(seed, d=d)) for seed, d in ((10, 0.0), (11, 1.2), (12, 0.0))]
    best = np.max([one.null for one in probes], axis=0)
    reached = (best >= probes[1].auroc - 1e-12).sum()
    assert probes[1].auroc == max(one.auroc for one in probes)
    assert peak_p_value(probes) == (1 + reached) / 100
    assert peak_p_value(probes) >= probes[1].p_value


def test_folds_keep_groups_together_and_classes_even() -> None:
    _, y, groups = planted(0)
    folds = grouped_folds(y, groups, seed=0)
    assert folds.kind == "grouped"
    assert set(folds.fold_of) == set(range(5))
    for group in np.unique(groups):
        assert len(set(folds.fold_of[groups == group])) == 1
    for fold in range(5):
        assert y[folds.fold_of == fold].mean() == 0.5


@pytest.mark.parametrize("groups", [np.arange(40) % 4, np.arange(40)])
def test_folds_of_single_vectors_say_so(groups: NDArray[np.int64]) -> None:
    y = np.arange(40) % 4 == 0
    folds = grouped_folds(y, groups, seed=0)
    assert folds.kind == "single vectors"
    # 10 of 40 are positive: 2 in each of 5 folds.
    assert [int(y[folds.fold_of == fold].sum()) for fold in range(5)] == [2] * 5
    x = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    assert 0 < linear_probe(x, y, groups, folds, seed=0, n_permutations=9).p_value <= 1


@pytest.mark.parametrize(
    ("n_positive", "groups", "reason"),
    [
        (0, np.arange(40) // 4, "no vector is labelled positive"),
        (40, np.arange(40) // 4, "no vector is labelled negative"),
        (4, np.arange(40) // 4, "4 of 40 vectors are labelled positive, fewer than the 5 folds"),
        (8, np.arange(40) // 8, "labelled positive lie in groups of one fold"),
    ],
)
def test_what_cannot_be_learnt_is_refused(
    n_positive: int, groups: NDArray[np.int64], reason: str
) -> None:
    with pytest.raises(UndefinedMetric, match=reason):
        grouped_folds(np.arange(40) < n_positive, groups, seed=0)


@pytest.mark.parametrize(("value", "reason"), [(np.nan, "not finite"), (0.0, "are equal")])
def test_what_says_nothing_is_refused(value: float, reason: str) -> None:
    _, y, groups = planted(0)
    x = np.full((len(y), 4), value, dtype=np.float32)
    with pytest.raises(UndefinedMetric, match=reason):
        probe(x, y, groups)


def test_folds_with_one_class_give_no_auroc() -> None:
    x, _, groups = planted(0, n=60, size=6)
    y = groups % 2 == 1
    x[:, 0] += 8 * y
    folds = Folds(fold_of=groups, n_folds=10, kind="grouped")
    found = linear_probe(x, y, groups, folds, seed=0, n_permutations=9)
    assert found.auroc is None
    assert found.auroc_spread is None
    assert found.spread is None
    assert found.balanced_accuracy > 0.9
