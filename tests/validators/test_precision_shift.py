"""Errors between two precisions against sums that were worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from validators.metrics import precision_shift
from validators.metrics.bootstrap import squared_errors, squares_about_mean
from validators.metrics.precision_shift import (
    ActivationRange,
    explained_variance_drop,
    residual_shift,
)
from validators.metrics.undefined import UndefinedMetric

# Twice, since an interval takes five vectors.
X = np.tile(np.array([[1.0, 0.0], [3.0, 4.0], [5.0, 2.0]]), (2, 1))
MOVED = X + np.tile(np.array([[1.0, 0.0], [0.0, -1.0], [0.0, 2.0]]), (2, 1))
EACH = np.arange(len(X))


def test_relative_errors_are_those_worked_by_hand() -> None:
    shift = residual_shift(X, MOVED)
    # Errors 1 + 1 + 4 = 6; squares 1 + 25 + 29 = 55; about the mean (3, 2) 8 + 4 + 4 = 16.
    assert shift.n == 6
    assert shift.relative_error(EACH).value == pytest.approx(np.sqrt(6 / 55))
    assert shift.relative_error_about_mean(EACH).value == pytest.approx(np.sqrt(6 / 16))
    # 1 / 1, 1 / 5 and 2 / sqrt(29) = 0.371, twice each.
    assert shift.relative_error_median() == pytest.approx(2 / np.sqrt(29))


def test_equal_activations_have_no_error_and_no_spread_of_it() -> None:
    error = residual_shift(X, X).relative_error(EACH)
    assert (error.value, error.low, error.high) == (0, 0, 0)
    assert residual_shift(X, X).relative_error_median() == 0


def test_a_large_mean_hides_the_error_about_zero_but_not_about_the_mean() -> None:
    plain, lifted = residual_shift(X, MOVED), residual_shift(X + 1e4, MOVED + 1e4)
    assert lifted.relative_error(EACH).value < 1e-3 < plain.relative_error(EACH).value
    assert lifted.relative_error_about_mean(EACH).value == pytest.approx(np.sqrt(6 / 16))


def test_the_interval_holds_the_value_and_draws_whole_groups() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 4))
    # Half of the ten groups move far, so that drawing groups is much less sure than vectors.
    groups = np.repeat(np.arange(10), 20)
    moved = x + (groups % 2)[:, None] * generator.normal(size=x.shape)
    shift = residual_shift(x, moved)
    by_group, by_vector = shift.relative_error(groups), shift.relative_error(np.arange(200))
    assert by_group.low < by_group.value < by_group.high
    assert by_group.high - by_group.low > 1.5 * (by_vector.high - by_vector.low)


def test_vectors_that_are_not_finite_are_left_out_and_counted() -> None:
    extra = np.array([[np.inf, 0.0], [1.0, 1.0]])
    shift = residual_shift(np.vstack([X, extra]), np.vstack([MOVED, extra[::-1] * np.nan]))
    assert (shift.n, shift.n_not_finite) == (6, 2)
    assert shift.is_finite.tolist() == [True] * 6 + [False] * 2
    assert shift.relative_error(np.arange(8)).value == pytest.approx(np.sqrt(6 / 55))
    assert shift.relative_error_about_mean(np.arange(8)).value == pytest.approx(np.sqrt(6 / 16))


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = residual_shift(X, MOVED)
    monkeypatch.setattr(precision_shift, "_ROWS", 4)
    parts = residual_shift(X, MOVED)
    assert parts.errors == pytest.approx(whole.errors)
    assert parts.squares == pytest.approx(whole.squares)
    assert parts.squares_about_mean == pytest.approx(whole.squares_about_mean)


@pytest.mark.parametrize(
    ("x", "message"), [(np.zeros((6, 2)), "norm above 0"), (np.full((6, 2), np.nan), "finite")]
)
def test_an_undefined_median_says_why(x: np.ndarray, message: str) -> None:
    with pytest.raises(UndefinedMetric, match=message):
        residual_shift(x, x).relative_error_median()


def test_the_range_is_that_of_fp16() -> None:
    seen = ActivationRange()
    seen.add(np.array([[1.0, -32752.0], [2.0, 3.0]], np.float32))
    assert seen.largest() == 32752
    assert seen.share_of_fp16() == 0.5
    assert np.finfo(np.float16).max == precision_shift.FP16_LARGEST
    seen.add(np.array([[np.inf, 5.0], [np.nan, 131008.0], [0.0, 0.0]], np.float32))
    assert (seen.n, seen.n_not_finite) == (5, 2)
    # The largest of the finite ones, in the vector that holds a NaN as well.
    assert seen.share_of_fp16() == 2


def test_no_activation_has_no_largest() -> None:
    seen = ActivationRange()
    seen.add(np.zeros((0, 4)))
    seen.add(np.full((2, 4), np.inf))
    assert (seen.n, seen.n_not_finite) == (2, 2)
    with pytest.raises(UndefinedMetric, match="no activation is finite"):
        seen.share_of_fp16()


def sums(x: np.ndarray, x_hat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return squared_errors(x, x_hat), squares_about_mean(x)


def test_the_drop_of_explained_variance_is_a_share_of_the_reference() -> None:
    # Errors 6 of 16: explained 10/16 of the variance. An error of 1 in one number of each vector,
    # 3 of 16: explained 13/16. From 13/16 to 10/16, 3/13 is lost; the other way, 3/10 is gained.
    worse, better = sums(X, MOVED), sums(X, X + np.array([1.0, 0.0]))
    assert explained_variance_drop(better, worse, EACH).value == pytest.approx(3 / 13)
    risen = explained_variance_drop(worse, better, EACH)
    assert risen.value == pytest.approx(-3 / 10)
    assert risen.low <= risen.value <= risen.high
    same = explained_variance_drop(worse, worse, EACH)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_nothing_can_fall_where_nothing_was_explained() -> None:
    with pytest.raises(UndefinedMetric, match="explains no variance at its own precision"):
        explained_variance_drop(sums(X, X + 9), sums(X, MOVED), EACH)
