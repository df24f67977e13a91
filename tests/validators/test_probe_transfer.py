"""A probe that is fitted once and judged on several sets of vectors."""

from __future__ import annotations

import numpy as np
import pytest

from validators.metrics.probe_transfer import transferred_accuracies
from validators.metrics.undefined import UndefinedMetric

Y = np.array([True, False] * 10)
# One column tells the label, one never varies.
X = np.stack([np.where(Y, 1.0, -1.0), np.full(20, 3.0)], axis=1)


def test_what_is_as_it_was_is_told_as_well() -> None:
    assert transferred_accuracies(X, Y, ((X, Y), (X * 2, Y))) == (1.0, 1.0)


def test_a_direction_that_turned_round_is_told_wrong() -> None:
    turned = X * np.array([-1.0, 1.0])
    assert transferred_accuracies(X, Y, ((X, Y), (turned, Y))) == (1.0, 0.0)


def test_each_class_counts_the_same() -> None:
    # Of 3 positive vectors 1 is told right, of 9 negative ones all: (1/3 + 1) / 2.
    values = np.array([1.0, -1.0, -1.0, *[-1.0] * 9])
    test = np.stack([values, np.full(12, 3.0)], axis=1)
    y = np.array([True] * 3 + [False] * 9)
    (found,) = transferred_accuracies(X, Y, ((test, y),))
    assert found == pytest.approx(2 / 3)


def test_unequal_classes_do_not_tilt_the_probe() -> None:
    # Nothing is told apart by x = 0 in the middle; with 38 of 40 in one class, an unweighted probe
    # would call everything by that class.
    y = np.array([True] * 2 + [False] * 38)
    x = np.where(y, 1.0, -1.0)[:, None] + np.tile([-1.0, 1.0], 20)[:, None]
    (found,) = transferred_accuracies(x, y, ((np.array([[1.5], [-1.5]]), np.array([True, False])),))
    assert found == 1.0


def test_a_column_that_only_varies_elsewhere_changes_nothing() -> None:
    other = X.copy()
    other[:, 1] = np.arange(20) * 100.0
    assert transferred_accuracies(X, Y, ((other, Y),)) == (1.0,)


@pytest.mark.parametrize(
    ("x", "y", "test", "reason"),
    [
        (X, np.ones(20, dtype=bool), (X, Y), "all vectors of a part have one label"),
        (X, Y, (X, np.zeros(20, dtype=bool)), "all vectors of a part have one label"),
        (X, Y, (X[:0], Y[:0]), "all vectors of a part have one label"),
        (X, Y, (X * np.inf, Y), "a latent is not finite"),
        (np.full_like(X, 2.0), Y, (X, Y), "no latent varies"),
    ],
)
def test_without_two_labels_or_numbers_there_is_no_accuracy(
    x: np.ndarray, y: np.ndarray, test: tuple[np.ndarray, np.ndarray], reason: str
) -> None:
    with pytest.raises(UndefinedMetric, match=reason):
        transferred_accuracies(x, y, (test,))
