"""The paired bootstrap: hand-worked differences, and when its interval excludes zero."""

from __future__ import annotations

import numpy as np
import pytest

from validators.metrics.bootstrap import (
    bias_share_difference,
    explained_variance_difference,
    squared_errors,
    squares_about_mean,
)
from validators.metrics.undefined import UndefinedMetric


def test_squares_follow_their_formulas() -> None:
    x = np.array([[1.0, 2.0], [3.0, 6.0]], dtype=np.float32)
    # Mean (2, 4): each vector is (1, 2) away, 1 + 4.
    np.testing.assert_allclose(squares_about_mean(x), [5.0, 5.0])
    x_hat = np.array([[1.0, 0.0], [3.0, 5.0]], dtype=np.float32)
    np.testing.assert_allclose(squared_errors(x, x_hat), [4.0, 1.0])


def test_the_value_is_the_difference_of_the_two_explained_variances() -> None:
    squares = np.array([10.0, 10.0, 20.0, 0.0, 0.0])
    first, second = np.array([5.0, 5.0, 10.0, 0, 0]), np.array([2.0, 2.0, 4.0, 0, 0])
    groups = np.array([0, 1, 2, 2, 2])
    found = explained_variance_difference((first, squares), (second, squares), groups)
    # 1 - 8/40 = 0.8 against 1 - 20/40 = 0.5; all rows have the same ratio, so draws agree.
    assert found.value == pytest.approx(0.3)
    assert found.low == pytest.approx(0.3)
    assert found.high == pytest.approx(0.3)


def test_a_gain_that_one_document_carries_does_not_exclude_zero() -> None:
    squares = np.ones(40)
    first = np.full(40, 0.5)
    second = first.copy()
    groups = np.repeat(np.arange(8), 5)
    second[groups == 3] = 0.0
    second[groups != 3] = 0.52
    found = explained_variance_difference((first, squares), (second, squares), groups)
    # 5 * 0.5 gained, 35 * 0.02 lost: (2.5 - 0.7) / 40.
    assert found.value == pytest.approx(0.045)
    assert found.low < 0 < found.high


def test_a_gain_that_every_document_shares_excludes_zero() -> None:
    generator = np.random.default_rng(1)
    squares = np.ones(200)
    first = generator.uniform(0.4, 0.6, 200)
    second = first - generator.uniform(0.01, 0.09, 200)
    groups = np.repeat(np.arange(20), 10)
    found = explained_variance_difference((first, squares), (second, squares), groups)
    assert 0 < found.low < found.value < found.high


def test_the_bias_share_is_what_a_constant_correction_would_take_away() -> None:
    groups = np.arange(6)
    constant = np.tile([3.0, 4.0], (6, 1))
    balanced = np.array([[1.0, 0.0], [-1.0, 0.0]] * 3)
    found = bias_share_difference(balanced, constant, groups)
    # Of a constant error everything is bias, of a balanced one nothing: 1 - 0.
    assert found.value == pytest.approx(1.0)
    # In a draw the balanced errors need not cancel, so the interval ends below 1.
    assert 0 <= found.low < found.high <= 1.0 + 1e-9


def test_no_error_at_all_has_no_bias_share() -> None:
    with pytest.raises(UndefinedMetric, match="no error"):
        bias_share_difference(np.zeros((6, 2)), np.ones((6, 2)), np.arange(6))


@pytest.mark.parametrize(
    ("first", "squares", "groups", "reason"),
    [
        ([1.0] * 4, [1.0] * 4, [0] * 4, "at least 5 vectors"),
        ([1.0] * 5, [0.0] * 5, [0] * 5, "no variance"),
        ([1.0, np.nan] * 3, [1.0] * 6, [0] * 6, "not finite"),
    ],
)
def test_what_cannot_be_compared_is_undefined(
    first: list[float], squares: list[float], groups: list[int], reason: str
) -> None:
    pair = (np.array(first), np.array(squares))
    with pytest.raises(UndefinedMetric, match=reason):
        explained_variance_difference(pair, pair, np.array(groups))
