"""Metrics against numbers that were worked by hand, and their fixed points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validators.metrics.pca_baseline import pca_explained_variance
from validators.metrics.reconstruction import ReconstructionSums
from validators.metrics.sparsity import LatentCounts
from validators.metrics.thresholds import threshold_moved_fraction
from validators.metrics.undefined import UndefinedMetric

X = np.array([[1.0, 0.0], [3.0, 4.0], [5.0, 2.0]])


def sums_of(x: np.ndarray, x_hat: np.ndarray, batch: int = 100) -> ReconstructionSums:
    sums = ReconstructionSums()
    for start in range(0, len(x), batch):
        sums.add(x[start : start + batch], x_hat[start : start + batch])
    return sums


def test_explained_variance_and_mse_are_those_worked_by_hand() -> None:
    x_hat = X + np.array([[1.0, 0.0], [0.0, -1.0], [0.0, 2.0]])
    sums = sums_of(X, x_hat)
    # mean (3, 2): squares about it 4+4, 0+4, 4+0 = 16; errors 1 + 1 + 4 = 6; 1 - 6/16.
    assert sums.explained_variance() == pytest.approx(0.625)
    # 6 over 3 vectors x 2 dimensions.
    assert sums.mse() == pytest.approx(1.0)


def test_a_perfect_reconstruction_scores_one() -> None:
    assert sums_of(X, X).explained_variance() == 1.0
    assert sums_of(X, X).mse() == 0.0


@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_predicting_the_mean_scores_zero_however_large_it_is(mean: float) -> None:
    x = np.random.default_rng(0).normal(size=(50, 8)) + mean
    assert sums_of(x, np.tile(x.mean(axis=0), (50, 1))).explained_variance() == pytest.approx(0)


def test_a_constant_bias_is_not_forgiven() -> None:
    # Errors of 3 in each of 6 numbers: 54 over 16.
    assert sums_of(X, X + 3).explained_variance() == pytest.approx(1 - 54 / 16)


@given(st.integers(1, 60), st.floats(-1e3, 1e3))
def test_the_batch_size_does_not_matter(batch: int, mean: float) -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=(50, 4)) + mean
    x_hat = x + 0.1 * generator.normal(size=(50, 4))
    whole, parts = sums_of(x, x_hat), sums_of(x, x_hat, batch)
    assert parts.n == whole.n == 50
    assert parts.explained_variance() == pytest.approx(whole.explained_variance(), rel=1e-9)
    assert parts.mse() == pytest.approx(whole.mse(), rel=1e-12)


@pytest.mark.parametrize(
    ("x", "x_hat", "message"),
    [
        (np.zeros((0, 2)), np.zeros((0, 2)), "there are no activation vectors"),
        (np.ones((3, 2)), np.zeros((3, 2)), "no variance"),
        (X, X * np.nan, "a reconstruction is not finite"),
        (np.full((3, 2), np.inf), X, "an activation is not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_an_undefined_metric_says_why(x: np.ndarray, x_hat: np.ndarray, message: str) -> None:
    with pytest.raises(UndefinedMetric, match=message):
        sums_of(x, x_hat).explained_variance()


def test_l0_and_dead_latents_are_those_counted_by_hand() -> None:
    counts = LatentCounts(4)
    counts.add(np.array([[1.0, 0.0, -2.0, 0.0], [0.5, 0.0, 0.0, 0.0]]))
    counts.add(np.array([[1.0, 0.0, 3.0, 1e-30]]))
    counts.add(np.zeros((0, 4)))
    # 2 + 1 + 3 active latents over 3 vectors; only the second of 4 never fired.
    assert counts.l0() == 2.0
    assert counts.dead_fraction() == 0.25
    assert (counts.l0_min, counts.l0_max, counts.n) == (1, 3, 3)
    assert counts.fired.tolist() == [3, 0, 2, 1]


def test_counting_nothing_is_undefined_and_not_zero() -> None:
    counts = LatentCounts(4)
    with pytest.raises(UndefinedMetric):
        counts.l0()
    with pytest.raises(UndefinedMetric):
        counts.dead_fraction()


def test_pca_of_the_full_rank_of_the_data_is_perfect_and_of_less_is_the_share_it_keeps() -> None:
    # Two directions with squares 2 x 9 = 18 and 2 x 1 = 2 about the mean 0: one keeps 18/20.
    x = np.array([[3.0, 0.0, 0.0], [-3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    assert pca_explained_variance(x, x, rank=2) == pytest.approx(1.0)
    assert pca_explained_variance(x, x, rank=1) == pytest.approx(0.9)


def test_pca_needs_as_many_vectors_as_components() -> None:
    with pytest.raises(UndefinedMetric, match="8 components need at least 8 training vectors"):
        pca_explained_variance(np.ones((7, 20)), np.ones((5, 20)))


def test_only_live_latents_count_as_moved_or_not() -> None:
    threshold = np.array([0.10, 0.12, 0.109, 0.5, 0.02])
    fired = np.array([1, 5, 2, 0, 1])
    # Live: 0.10 (no), 0.12 (moved by 20%), 0.109 (by 9%), 0.02 (by 80%): 2 of 4.
    assert threshold_moved_fraction(threshold, fired, 0.1) == 0.5
    with pytest.raises(UndefinedMetric, match="no latent was active"):
        threshold_moved_fraction(threshold, np.zeros(5, dtype=np.int64), 0.1)
