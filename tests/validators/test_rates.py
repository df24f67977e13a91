"""Rates with their intervals, and directions, against numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from validators.metrics.directions import (
    cosine,
    direction_cosine,
    mean_difference,
    random_direction,
    typical_length,
    unit,
)
from validators.metrics.rates import rate
from validators.metrics.undefined import UndefinedMetric


def test_none_and_all_of_ten_have_the_interval_worked_by_hand() -> None:
    # Of none the upper end u has (1 - u)^10 = 0.025, so u = 1 - 0.025^(1/10) = 0.3085.
    none, all_ = rate(0, 10), rate(10, 10)
    assert (none.value, none.low, none.high) == (0, 0, pytest.approx(0.30850, abs=1e-5))
    assert (all_.value, all_.low, all_.high) == (1, pytest.approx(0.69150, abs=1e-5), 1)


def test_one_of_two_has_the_interval_worked_by_hand() -> None:
    # P(at least 1 of 2) = 1 - (1 - p)^2 = 0.025 gives p = 1 - sqrt(0.975) = 0.01258.
    half = rate(1, 2)
    assert half.value == 0.5
    assert half.low == pytest.approx(0.012579, abs=1e-6)
    assert half.high == pytest.approx(1 - 0.012579, abs=1e-6)


@pytest.mark.parametrize("share", [0.03, 0.5, 0.81])
def test_the_interval_covers_the_true_share_at_least_as_often_as_it_says(share: float) -> None:
    n = 45
    covered = [rate(count, n).low <= share <= rate(count, n).high for count in range(n + 1)]
    assert binom.pmf(np.arange(n + 1), n, share)[covered].sum() >= 0.95


def test_a_higher_confidence_is_a_wider_interval() -> None:
    assert rate(3, 10, confidence=0.99).low < rate(3, 10).low
    assert rate(3, 10, confidence=0.99).high > rate(3, 10).high


def test_the_rate_of_nothing_is_undefined_and_not_zero() -> None:
    with pytest.raises(UndefinedMetric, match="nothing was counted"):
        rate(0, 0)


def test_the_difference_of_means_and_its_cosine_are_those_worked_by_hand() -> None:
    x = np.array([[1.0, 0.0], [3.0, 4.0], [-1.0, 2.0]], dtype=np.float32)
    y = np.array([True, True, False])
    # (2, 2) - (-1, 2) = (3, 0).
    assert mean_difference(x, y).tolist() == [3.0, 0.0]
    # (3, 4) has length 5 and 3 of it along the difference.
    assert direction_cosine(np.array([3.0, 4.0]), x, y) == pytest.approx(0.6)
    assert direction_cosine(np.array([-2.0, 0.0]), x, y) == -1.0


def test_equal_opposite_and_right_angled_directions_have_cosine_1_minus_1_and_0() -> None:
    a = np.random.default_rng(0).normal(size=100)
    assert cosine(a, 7 * a) == pytest.approx(1.0) and cosine(a, 7 * a) <= 1
    assert cosine(a, -a) == pytest.approx(-1.0)
    assert cosine(np.array([1.0, 0.0]), np.array([0.0, 2.0])) == 0.0


def test_a_large_common_mean_does_not_move_the_difference() -> None:
    x = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    y = np.arange(50) < 20
    moved = (x.astype(np.float64) + 1e6).astype(np.float64)
    assert mean_difference(moved, y) == pytest.approx(mean_difference(x, y), abs=1e-8)


def test_of_reconstructions_the_difference_is_that_of_the_latents_decoded() -> None:
    generator = np.random.default_rng(0)
    latents, W_dec = generator.exponential(size=(30, 12)), generator.normal(size=(12, 5))
    y = np.arange(30) < 11
    x_hat = latents @ W_dec + generator.normal(size=5)
    decoded = (latents[y].mean(axis=0) - latents[~y].mean(axis=0)) @ W_dec
    assert mean_difference(x_hat, y) == pytest.approx(decoded, abs=1e-12)


def test_equal_reconstructions_have_no_direction_whatever_rounding_leaves() -> None:
    x = np.tile(np.random.default_rng(0).normal(size=64).astype(np.float32), (1009, 1))
    with pytest.raises(UndefinedMetric, match="the same mean"):
        mean_difference(x, np.arange(1009) < 333)


@pytest.mark.parametrize("y", [[True, True], [False, False]])
def test_one_class_alone_has_no_difference(y: list[bool]) -> None:
    with pytest.raises(UndefinedMetric, match="one class"):
        mean_difference(np.ones((2, 3)), np.array(y))


@pytest.mark.parametrize(
    ("direction", "message"), [([0.0, 0.0], "length 0"), ([np.nan, 1.0], "not finite")]
)
def test_a_direction_without_a_length_is_refused(direction: list[float], message: str) -> None:
    with pytest.raises(UndefinedMetric, match=message):
        cosine(np.array(direction), np.array([1.0, 0.0]))
    with pytest.raises(UndefinedMetric, match=message):
        unit(np.array(direction))


def test_an_activation_that_is_not_finite_is_refused() -> None:
    with pytest.raises(UndefinedMetric, match="an activation is not finite"):
        mean_difference(np.array([[np.inf], [0.0]]), np.array([True, False]))


def test_one_vector_of_outlying_norm_does_not_make_the_typical_length() -> None:
    # Lengths 5, 10 and 5000.
    x = np.array([[3.0, 4.0], [0.0, 10.0], [3000.0, 4000.0]], dtype=np.float32)
    assert typical_length(x) == pytest.approx(10.0)


@pytest.mark.parametrize("x", [np.zeros((0, 2)), np.zeros((3, 2)), np.full((3, 2), np.nan)])
def test_vectors_without_a_length_have_no_typical_one(x: np.ndarray) -> None:
    with pytest.raises(UndefinedMetric, match="activation vectors"):
        typical_length(x)


def test_random_directions_have_length_1_repeat_by_seed_and_point_anywhere() -> None:
    drawn = np.array([random_direction(400, seed) for seed in range(200)])
    assert np.linalg.norm(drawn, axis=1) == pytest.approx(1.0)
    assert (random_direction(400, 3) == drawn[3]).all()
    # The cosine of two of them has the standard deviation 1 / sqrt(400) = 0.05.
    pairs = (drawn @ drawn.T)[np.triu_indices(200, 1)]
    assert pairs.mean() == pytest.approx(0, abs=0.005)
    assert pairs.std() == pytest.approx(0.05, rel=0.05)
