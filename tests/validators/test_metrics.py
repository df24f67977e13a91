"""Metrics against numbers that were worked by hand, and their fixed points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validators.metrics.pca_baseline import pca_explained_variance
from validators.metrics.reconstruction import ReconstructionSums, cosines
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


def test_the_distribution_of_l0_is_that_of_numpy_over_single_vectors() -> None:
    generator = np.random.default_rng(2)
    latents = (generator.random((101, 40)) < generator.random((101, 1))).astype(np.float32)
    counts = LatentCounts(40)
    for start in range(0, 101, 7):
        counts.add(latents[start : start + 7])
    l0 = (latents != 0).sum(axis=1)
    for share in (0.05, 0.5, 0.95):
        assert counts.l0_quantile(share) == pytest.approx(np.quantile(l0, share), rel=1e-12)
    assert counts.l0_histogram.tolist() == np.bincount(l0, minlength=41).tolist()
    assert (counts.l0_min, counts.l0_max) == (l0.min(), l0.max())


def test_quantiles_of_l0_are_those_worked_by_hand() -> None:
    counts = LatentCounts(4)
    # 0, 1, 2 and 4 active latents: the median lies between 1 and 2; at 0.95 of the way from
    # position 0 to 3 is 2.85, so 2 + 0.85 x (4 - 2).
    counts.add(np.array([[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 2, 0]], dtype=float))
    assert counts.l0_quantile(0.5) == 1.5
    assert counts.l0_quantile(0.95) == pytest.approx(3.7)
    with pytest.raises(UndefinedMetric, match="no activation vectors"):
        LatentCounts(4).l0_quantile(0.5)


def test_a_latent_is_dense_above_a_tenth_of_the_vectors_and_not_at_it() -> None:
    latents = np.zeros((30, 5))
    latents[:3, 0] = latents[:4, 1] = latents[:, 2] = 1.0
    counts = LatentCounts(5)
    counts.add(latents)
    # 3 of 30 are a tenth and not more; 4 and 30 are: 2 of 5 latents.
    assert counts.dense_fraction() == pytest.approx(0.4)
    with pytest.raises(UndefinedMetric, match="no activation vectors"):
        LatentCounts(5).dense_fraction()


def test_the_cosine_is_the_mean_of_those_worked_by_hand() -> None:
    x = np.array([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0]])
    x_hat = np.array([[5.0, 0.0], [4.0, 3.0], [1.0, -1.0]])
    # 1, (12 + 12) / 25 and -1 / sqrt(2).
    sums = sums_of(x, x_hat, batch=2)
    assert sums.cosine() == pytest.approx((1 + 0.96 - 2**-0.5) / 3)
    assert sums.n_cosines == 3
    # Length does not matter to a direction.
    assert sums_of(x, 100 * x_hat).cosine() == pytest.approx(sums.cosine())
    assert sums_of(X, X).cosine() == pytest.approx(1.0)


def test_a_vector_without_a_direction_is_left_out_of_the_cosine_and_n_says_so() -> None:
    x = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    x_hat = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]], dtype=np.float32)
    sums = sums_of(x, x_hat)
    assert sums.cosine() == pytest.approx(2**-0.5)
    assert (sums.n_cosines, sums.n) == (1, 3)
    np.testing.assert_allclose(cosines(x, x_hat), [np.nan, np.nan, 2**-0.5])
    with pytest.raises(UndefinedMetric, match="has no direction"):
        sums_of(x, np.zeros_like(x)).cosine()


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_cosine_is_undefined_where_a_reconstruction_is_not_finite() -> None:
    x_hat = X.copy()
    x_hat[1, 0] = np.nan
    with pytest.raises(UndefinedMetric, match="a reconstruction is not finite"):
        sums_of(X, x_hat).cosine()


def test_the_error_of_each_vector_is_kept_in_order() -> None:
    x_hat = X + np.array([[1.0, 0.0], [0.0, -1.0], [0.0, 2.0]])
    assert sums_of(X, x_hat, batch=2).errors_each.tolist() == [1.0, 1.0, 4.0]
    assert len(ReconstructionSums().errors_each) == 0
