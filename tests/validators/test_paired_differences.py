"""Two SAEs on the same vectors: hand-worked differences, and how often an interval is wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import binom

from validators.evaluation import measured
from validators.metrics.bootstrap import (
    MAX_UNITS,
    Estimate,
    explained_variance_difference,
    explained_variance_interval,
    ratio_interval,
    squared_errors,
    squares_about_mean,
)
from validators.metrics.paired_differences import (
    PerVector,
    difference_in_cosine,
    difference_in_explained_variance,
    difference_in_l0,
    differs_in_l0,
    per_vector,
)
from validators.metrics.reconstruction import ReconstructionSums
from validators.metrics.sparsity import LatentCounts
from validators.metrics.undefined import UndefinedMetric

GROUPS = np.repeat(np.arange(6), 2)


def run_of(
    *, error: float = 1.0, l0: int = 10, cosine: float = 0.5, n: int = 12, square: float = 4.0
) -> PerVector:
    return PerVector(
        squared_error=np.full(n, error),
        squares_about_mean=np.full(n, square),
        l0=np.full(n, l0, dtype=np.int64),
        cosine=np.full(n, cosine),
    )


def random_run(seed: int, n: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors, reconstructions and latents; the vectors are the same for every seed."""
    x = np.random.default_rng(99).normal(size=(n, 6)).astype(np.float32) + 2
    generator = np.random.default_rng(seed)
    x_hat = x + 0.3 * generator.normal(size=x.shape).astype(np.float32)
    latents = (generator.random((n, 20)) < 0.3) * generator.normal(size=(n, 20))
    return x, x_hat, latents.astype(np.float32)


def test_what_is_kept_of_each_vector_gives_the_metrics_of_the_report() -> None:
    x, x_hat, latents = random_run(1)
    kept = per_vector(x, x_hat, latents)
    sums, counts = ReconstructionSums(), LatentCounts(20)
    sums.add(x, x_hat)
    counts.add(latents)
    explained = 1 - kept.squared_error.sum() / kept.squares_about_mean.sum()
    assert explained == pytest.approx(sums.explained_variance(), rel=1e-12)
    assert kept.squared_error.sum() / x.size == pytest.approx(sums.mse(), rel=1e-12)
    assert kept.cosine.mean() == pytest.approx(sums.cosine(), rel=1e-12)
    assert kept.l0.mean() == pytest.approx(counts.l0(), rel=1e-12)
    assert (kept.n, kept.l0.dtype) == (120, np.int64)


def test_what_is_kept_does_not_depend_on_how_many_vectors_are_worked_on_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = per_vector(*random_run(1))
    monkeypatch.setattr("validators.metrics.bootstrap._PART_ROWS", 7)
    for name, expected in dataclasses.asdict(whole).items():
        found = getattr(per_vector(*random_run(1)), name)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_differences_are_second_minus_first() -> None:
    first, second = run_of(), run_of(error=0.5, l0=13, cosine=0.9)
    # 1 - 0.5/4 = 0.875 against 1 - 1/4 = 0.75; every vector is alike, so every draw agrees.
    for compare, value in (
        (difference_in_explained_variance, 0.125),
        (difference_in_l0, 3.0),
        (difference_in_cosine, 0.4),
    ):
        found = compare(first, second, GROUPS)
        for number in (found.value, found.low, found.high):
            assert number == pytest.approx(value)
        assert (found.n, found.n_groups) == (12, 6)
        assert found.excludes_zero
        back = compare(second, first, GROUPS)
        assert back.value == pytest.approx(-value)
        assert back.excludes_zero


def test_an_sae_does_not_differ_from_itself() -> None:
    kept = per_vector(*random_run(1))
    groups = np.repeat(np.arange(12), 10)
    for compare in (difference_in_explained_variance, difference_in_l0, difference_in_cosine):
        found = compare(kept, kept, groups)
        assert (found.value, found.low, found.high) == (0, 0, 0)
        assert not found.excludes_zero


def test_the_value_is_that_of_the_comparison_with_both_denominators() -> None:
    first, second = per_vector(*random_run(1)), per_vector(*random_run(2))
    groups = np.repeat(np.arange(12), 10)
    found = difference_in_explained_variance(first, second, groups)
    other = explained_variance_difference(
        (first.squared_error, first.squares_about_mean),
        (second.squared_error, second.squares_about_mean),
        groups,
    )
    assert found.value == pytest.approx(other.value, rel=1e-12)
    assert found.low < found.value < found.high


def test_the_same_numbers_come_out_every_time_and_of_any_naming_of_the_groups() -> None:
    first, second = per_vector(*random_run(1)), per_vector(*random_run(2))
    groups = np.repeat(np.arange(12), 10)
    found = difference_in_explained_variance(first, second, groups)
    assert found == difference_in_explained_variance(first, second, groups)
    assert found == difference_in_explained_variance(first, second, 5 * groups + 3)


def test_a_vector_without_a_direction_on_either_side_is_left_out_of_the_cosine() -> None:
    first, second = run_of(cosine=0.5), run_of(cosine=0.7)
    first.cosine[:2], second.cosine[3] = np.nan, np.nan
    found = difference_in_cosine(first, second, GROUPS)
    assert found.value == pytest.approx(0.2)
    # Vectors 0, 1 and 3 of 12; with 0 and 1 the whole first group.
    assert (found.n, found.n_groups) == (9, 5)
    first.cosine[:] = np.nan
    with pytest.raises(UndefinedMetric, match="at least 5 vectors"):
        difference_in_cosine(first, second, GROUPS)


@pytest.mark.parametrize(
    ("first", "second", "differs"),
    [
        (10, 11, False),
        (11, 10, False),
        (100, 111, True),
        (111, 100, True),
        (0, 0, False),
        (0, 1, True),
    ],
)
def test_more_than_a_tenth_of_the_smaller_l0_is_another_sparsity(
    first: int, second: int, differs: bool
) -> None:
    assert differs_in_l0(run_of(l0=first), run_of(l0=second)) is differs


def test_runs_on_other_vectors_are_not_compared() -> None:
    with pytest.raises(AssertionError, match="the same vectors"):
        difference_in_l0(run_of(), run_of(square=5.0), GROUPS)
    with pytest.raises(AssertionError, match="a group for each vector"):
        difference_in_l0(run_of(), run_of(), GROUPS[:-1])


def test_what_cannot_be_compared_is_undefined() -> None:
    with pytest.raises(UndefinedMetric, match="not finite"):
        difference_in_explained_variance(run_of(), run_of(error=np.inf), GROUPS)
    with pytest.raises(UndefinedMetric, match="no variance"):
        difference_in_explained_variance(run_of(square=0), run_of(square=0), GROUPS)
    none = run_of(n=0)
    for compare in (difference_in_explained_variance, difference_in_l0, difference_in_cosine):
        with pytest.raises(UndefinedMetric, match="at least 5 vectors"):
            compare(none, none, GROUPS[:0])
    with pytest.raises(UndefinedMetric, match="no activation vectors"):
        differs_in_l0(none, none)


def covers(n_groups: int, truth: float, seed: int) -> bool:
    """Whether the interval of a mean covers it; vectors of one group share half their variance."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), 8)
    values = truth + generator.normal(size=n_groups)[groups] + generator.normal(size=len(groups))
    found = ratio_interval(values, np.ones(len(values)), groups)
    return found.low <= truth <= found.high


@pytest.mark.parametrize(("n_groups", "stated"), [(6, 0.07), (9, 0.06), (30, 0.06)])
def test_an_interval_misses_the_truth_no_more_often_than_is_stated(
    n_groups: int, stated: float
) -> None:
    repetitions = 300
    missed = sum(not covers(n_groups, 2.0, seed) for seed in range(repetitions))
    # The shares are those of docs/terms.md; more than this come up in 1 of 20 cases.
    assert missed <= binom.ppf(0.95, repetitions, stated)
    # An interval that never misses would be a useless one.
    assert missed > 0


def test_single_vectors_instead_of_groups_would_miss_it_far_more_often() -> None:
    def misses(groups: np.ndarray, values: np.ndarray) -> bool:
        found = ratio_interval(values, np.ones(len(values)), groups)
        return not found.low <= 0 <= found.high

    grouped = single = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        groups = np.repeat(np.arange(10), 20)
        values = generator.normal(size=10)[groups] + 0.5 * generator.normal(size=200)
        grouped += misses(groups, values)
        single += misses(np.arange(200), values)
    assert grouped <= binom.ppf(0.95, 100, 0.05)
    assert single > 40


def test_the_interval_of_an_explained_variance_lies_about_it() -> None:
    x, x_hat, _ = random_run(3)
    errors, squares = squared_errors(x, x_hat), squares_about_mean(x)
    found = explained_variance_interval(errors, squares, np.repeat(np.arange(12), 10))
    assert found.value == pytest.approx(1 - errors.sum() / squares.sum())
    assert found.low < found.value < found.high < 1
    perfect = explained_variance_interval(0 * errors, squares, np.repeat(np.arange(12), 10))
    assert (perfect.low, perfect.value, perfect.high) == (1, 1, 1)


def test_more_units_than_are_drawn_one_by_one_are_drawn_in_bundles() -> None:
    n = 3 * MAX_UNITS
    values = np.random.default_rng(0).normal(size=n)
    found = ratio_interval(values, np.ones(n), np.zeros(n, dtype=np.int64))
    assert found.value == pytest.approx(values.mean())
    # Independent vectors: 1.96 standard errors to either side, known to a tenth from 2000 draws.
    expected = 1.96 * values.std() / np.sqrt(n)
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.1)


def test_a_measurement_of_too_few_vectors_has_a_value_and_no_interval() -> None:
    x, x_hat, _ = random_run(3, n=4)
    sums = ReconstructionSums()
    sums.add(x, x_hat)

    def interval() -> Estimate:
        return explained_variance_interval(
            sums.errors_each, squares_about_mean(x), np.arange(4, dtype=np.int64)
        )

    found = measured(sums.explained_variance, n=4, split="held_out", interval=interval)
    assert found.value == sums.explained_variance()
    assert (found.low, found.high, found.reason) == (None, None, None)
    undefined = measured(
        ReconstructionSums().explained_variance, n=0, split="held_out", interval=interval
    )
    assert (undefined.value, undefined.low) == (None, None)
    assert undefined.reason == "there are no activation vectors"
