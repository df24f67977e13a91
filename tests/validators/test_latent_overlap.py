"""Overlap of active latents against sets that were counted by hand, and its fixed points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validators.metrics.latent_overlap import LatentOverlap, mean_of_defined
from validators.metrics.undefined import UndefinedMetric

# Active sets {0,1} {0,1} {0} {} and {0,1} {1,2} {1,2,3} {}.
A = np.array([[1.0, 2, 0, 0], [1, 4, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
B = np.array([[1.0, 1, 0, 0], [0, 2, 5, 0], [0, 3, 5, -1], [0, 0, 0, 0]])


def overlap_of(a: np.ndarray, b: np.ndarray, batch: int = 100) -> LatentOverlap:
    overlap = LatentOverlap(a.shape[1])
    for start in range(0, len(a), batch):
        overlap.add(a[start : start + batch], b[start : start + batch])
    return overlap


def sparse(n: int = 60, d_sae: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    a = generator.normal(size=(n, d_sae)) * (generator.random((n, d_sae)) < 0.3)
    b = (a + 0.2 * generator.normal(size=a.shape)) * (generator.random((n, d_sae)) < 0.6)
    return a, b


def test_shares_of_the_active_sets_are_those_counted_by_hand() -> None:
    overlap = overlap_of(A, B)
    # Shared 2, 1, 0 of 2, 3, 4 in the union; of 2, 2, 3 in the larger set; the last has none.
    assert overlap.jaccard_of_vectors()[:3] == pytest.approx([1, 1 / 3, 0])
    assert overlap.found_again_of_vectors()[:3] == pytest.approx([1, 1 / 2, 0])
    assert overlap.identical_of_vectors()[:3] == pytest.approx([1, 0, 0])
    assert np.isnan(overlap.jaccard_of_vectors()[3])
    assert np.isnan(overlap.found_again_of_vectors()[3])
    assert np.isnan(overlap.identical_of_vectors()[3])
    assert (overlap.n, overlap.n_both_empty) == (4, 1)
    assert overlap.jaccard() == pytest.approx(4 / 9)
    assert overlap.found_again() == pytest.approx(1 / 2)
    assert overlap.identical_share() == pytest.approx(1 / 3)


def test_alive_latents_are_counted_on_both_sides() -> None:
    # Latents 0 and 1 of a; all four of b.
    assert overlap_of(A, B).alive == (2, 4)
    assert overlap_of(A, B).alive_shift() == 1.0
    assert overlap_of(B, A).alive_shift() == -0.5


def test_correlations_are_those_worked_by_hand() -> None:
    found = overlap_of(A, B).correlations_of_latents()
    # Latent 0: about the means .25 .25 .25 -.75 and .75 -.25 -.25 -.25: .25 over .75.
    # Latent 1: about 1.5 both, .5 2.5 -1.5 -1.5 and -.5 .5 1.5 -1.5: 1 over the root of 11 x 5.
    assert found[:2] == pytest.approx([1 / 3, 1 / np.sqrt(55)])
    # Idle in a, where they do not vary.
    assert np.isnan(found[2:]).all()
    summary = overlap_of(A, B).correlations()
    low, high = 1 / np.sqrt(55), 1 / 3
    assert summary.n_latents == 2
    assert summary.median == pytest.approx((low + high) / 2)
    assert summary.low == pytest.approx(low + 0.05 * (high - low))


def test_identical_latents_overlap_fully_and_disjoint_ones_not_at_all() -> None:
    same = overlap_of(A, A)
    assert (same.jaccard(), same.found_again(), same.identical_share()) == (1, 1, 1)
    assert same.alive_shift() == 0
    assert same.correlations().median == pytest.approx(1)
    disjoint = overlap_of(np.array([[1.0, 0], [2, 0]]), np.array([[0.0, 1], [0, 1]]))
    assert (disjoint.jaccard(), disjoint.found_again(), disjoint.identical_share()) == (0, 0, 0)
    with pytest.raises(UndefinedMetric, match="no latent varies at both"):
        disjoint.correlations()


def test_values_do_not_matter_to_the_sets_nor_scale_to_the_correlation() -> None:
    a, _ = sparse()
    scaled = overlap_of(a, 3 * a)
    assert scaled.identical_share() == 1
    assert scaled.correlations_of_latents() == pytest.approx(np.ones(a.shape[1]))


@given(st.integers(1, 70), st.floats(-1e6, 1e6))
def test_the_batch_size_does_not_matter(batch: int, mean: float) -> None:
    a, b = sparse()
    # One latent that is always active, with a mean far above its spread.
    a[:, 0], b[:, 0] = a[:, 0] + mean, b[:, 0] - mean
    whole, parts = overlap_of(a, b), overlap_of(a, b, batch)
    assert parts.jaccard() == whole.jaccard()
    assert parts.alive == whole.alive
    assert parts.correlations_of_latents() == pytest.approx(
        whole.correlations_of_latents(), abs=1e-6, nan_ok=True
    )


@pytest.mark.parametrize("batch", [1, 7, 60])
def test_correlations_agree_with_numpy(batch: int) -> None:
    a, b = sparse()
    found = overlap_of(a, b, batch).correlations_of_latents()
    expected = [np.corrcoef(a[:, latent], b[:, latent])[0, 1] for latent in range(a.shape[1])]
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_constant_latent_has_no_correlation_whatever_its_rounding() -> None:
    a = np.full((50, 1), 0.1, np.float32)
    assert np.isnan(overlap_of(a, np.arange(50.0)[:, None], 7).correlations_of_latents()).all()


def test_a_latent_that_comes_alive_late_was_idle_before() -> None:
    a, b = np.zeros((40, 2)), np.zeros((40, 2))
    a[30:, 1] = b[30:, 1] = np.arange(10) + 1.0
    found = overlap_of(a, b, 10).correlations_of_latents()
    assert found == pytest.approx([np.nan, 1], nan_ok=True)


def test_the_mean_with_its_interval_leaves_out_vectors_without_a_value() -> None:
    values = np.array([np.nan, 1.0, 0.5, 0.0, 1.0, 0.5, 0.0, np.nan])
    estimate = mean_of_defined(values, np.arange(8))
    assert estimate.value == pytest.approx(0.5)
    assert 0 <= estimate.low < 0.5 < estimate.high <= 1
    assert mean_of_defined(np.ones(9), np.arange(9)).low == 1
    with pytest.raises(UndefinedMetric, match="at least 5 vectors"):
        mean_of_defined(values[:5], np.arange(5))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((0, 2)), np.zeros((0, 2)), "there are no activation vectors"),
        (np.zeros((3, 2)), np.zeros((3, 2)), "no latent is active on any vector"),
        (np.ones((3, 2)), np.full((3, 2), np.nan), "a latent is not finite"),
    ],
)
def test_an_undefined_overlap_says_why(a: np.ndarray, b: np.ndarray, message: str) -> None:
    with pytest.raises(UndefinedMetric, match=message):
        overlap_of(a, b).jaccard()


def test_no_shift_is_told_where_nothing_was_alive() -> None:
    with pytest.raises(UndefinedMetric, match="no latent is active at the first precision"):
        overlap_of(np.zeros((3, 2)), np.ones((3, 2))).alive_shift()
