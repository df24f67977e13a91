"""Cohen's d, the largest of many, and what it is when labels mean nothing."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from validators.metrics.effect_size import (
    cohens_d,
    effect_of_chosen,
    largest_effect,
    permuted_d,
)
from validators.metrics.label_permutations import exchangeable, permuted_labels
from validators.metrics.undefined import UndefinedMetric


def column(*values: float) -> NDArray[np.float32]:
    """One latent on several vectors."""
    return np.array(values, np.float32)[:, None]


def one_group(n: int) -> NDArray[np.int64]:
    """All vectors exchangeable."""
    return np.zeros(n, np.int64)


def test_d_is_the_difference_of_means_over_the_pooled_deviation() -> None:
    # Means 2 and 4; squares about them 1 + 0 + 1 and 4 + 0 + 4; s^2 = (2 + 8) / 4 = 2.5.
    y = np.array([False, False, False, True, True, True])
    d = cohens_d(column(1, 2, 3, 2, 4, 6), y)
    assert d == pytest.approx([2 / 2.5**0.5])
    assert cohens_d(column(1, 2, 3, 2, 4, 6), ~y) == pytest.approx([-2 / 2.5**0.5])


def test_classes_of_different_size_weigh_their_variance_by_n_minus_one() -> None:
    # Positive: 0, 2, mean 1, squares 2. Negative: 0, 0, 0, 4, mean 1, squares 12; the means agree.
    # Then the last is 8: mean 2, squares 4 + 4 + 4 + 36 = 48; s^2 = (2 + 48) / 4 = 12.5.
    y = np.array([True, True, False, False, False, False])
    assert cohens_d(column(0, 2, 0, 0, 0, 4), y) == pytest.approx([0])
    assert cohens_d(column(0, 2, 0, 0, 0, 8), y) == pytest.approx([-1 / 12.5**0.5])


def test_d_agrees_with_scipys_t_statistic() -> None:
    generator = np.random.default_rng(0)
    latents = generator.normal(size=(60, 30)).astype(np.float32)
    y = np.arange(60) < 23
    t = stats.ttest_ind(latents[y].astype(float), latents[~y].astype(float)).statistic
    np.testing.assert_allclose(cohens_d(latents, y), t * np.sqrt(1 / 23 + 1 / 37), rtol=1e-10)


def test_d_survives_a_large_mean_and_any_order_of_vectors() -> None:
    y = np.array([False, False, False, True, True, True])
    # Still whole numbers in float32; their squares about zero are 1e14 times those about the mean.
    shifted = column(1, 2, 3, 2, 4, 6) + np.float32(8e6)
    assert cohens_d(shifted, y) == pytest.approx([2 / 2.5**0.5], rel=1e-9)
    order = np.array([5, 0, 3, 1, 4, 2])
    assert cohens_d(shifted[order], y[order]) == pytest.approx([2 / 2.5**0.5], rel=1e-9)


def test_a_latent_without_variance_within_the_classes_has_no_d() -> None:
    y = np.array([True, True, False, False])
    latents = np.array([[0, 0.1, 1], [0, 0.1, 2], [0, 0.3, 3], [0, 0.3, 1]], np.float32)
    d = cohens_d(latents, y)
    assert np.isnan(d[:2]).all()
    # Means 1.5 and 2, squares 0.5 and 2, s^2 = 2.5 / 2.
    assert d[2] == pytest.approx(-0.5 / 1.25**0.5)


@pytest.mark.parametrize("y", [[True] * 4, [False] * 4, [True, False, False, False]])
def test_a_class_of_less_than_two_vectors_is_refused(y: list[bool]) -> None:
    with pytest.raises(UndefinedMetric, match="2 vectors of each class"):
        cohens_d(column(1, 2, 3, 4), np.array(y))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_latent_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(UndefinedMetric, match="not finite"):
        cohens_d(column(1, value, 3, 4), np.array([True, True, False, False]))


def test_permuted_d_is_the_d_of_each_labelling() -> None:
    generator = np.random.default_rng(1)
    latents = np.maximum(generator.normal(size=(24, 40)) + 3, 3).astype(np.float32)
    latents[:, 7] = 0
    labels = generator.random((50, 24)) < 0.4
    found = np.full((50, 40), np.nan)
    for rows, columns, d in permuted_d(latents, labels):
        found[rows, columns] = d
    one_by_one = np.array([cohens_d(latents, y) for y in labels])
    assert np.isnan(found[:, 7]).all()
    np.testing.assert_allclose(found, one_by_one, rtol=1e-9)


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    latents = generator.normal(size=(30, 50)).astype(np.float32)
    y, groups = np.arange(30) % 2 == 0, one_group(30)
    whole = largest_effect(latents, y, groups, seed=3, n_permutations=100)
    monkeypatch.setattr("validators.metrics.effect_size._BLOCK_BYTES", 8 * 30 * 7)
    monkeypatch.setattr("validators.metrics.label_permutations._KEYS_AT_ONCE", 100)
    pieces = largest_effect(latents, y, groups, seed=3, n_permutations=100)
    assert pieces.latent == whole.latent
    assert pieces.chance.p_value == whole.chance.p_value
    assert pieces.chance.high == pytest.approx(whole.chance.high, rel=1e-12)


def test_the_largest_is_the_largest_in_size_with_its_sign() -> None:
    y = np.arange(12) < 6
    generator = np.random.default_rng(3)
    latents = generator.normal(size=(12, 4)).astype(np.float32)
    latents[y, 2] -= 5
    latents[:, 3] = 0
    latents[y, 1] = 1
    latents[~y, 1] = 0
    found = largest_effect(latents, y, one_group(12), seed=0)
    d = cohens_d(latents, y)
    assert found.latent == 2
    assert found.d == d[2]
    assert found.d < -1
    assert found.d_max == -found.d
    assert found.n_latents == 2
    assert found.n_separating == 1
    assert found.n_large == int((np.abs(d) > 1).sum())
    assert (found.n_positive, found.n_negative) == (6, 6)
    assert found.chance.p_value < 0.01
    assert found.n_above_chance == int((np.abs(d) > found.chance.high_95).sum()) > 0


def test_chance_agrees_with_all_labellings_of_a_small_set() -> None:
    generator = np.random.default_rng(4)
    latents = generator.normal(size=(8, 3)).astype(np.float32)
    y = np.arange(8) < 4
    sizes = np.array(
        [
            np.abs(cohens_d(latents, np.isin(np.arange(8), chosen)))
            for chosen in combinations(range(8), 4)
        ]
    )
    every = sizes.max(axis=1)
    found = largest_effect(latents, y, one_group(8), seed=0, n_permutations=20_000)
    exact = np.mean(every >= found.d_max - 1e-9)
    # 70 labellings; the standard error of 20,000 draws is at most 0.0035.
    assert found.chance.p_value == pytest.approx(exact, abs=0.015)
    assert found.chance.median == pytest.approx(np.median(every), abs=0.1)
    assert found.chance.mean_n_large == pytest.approx((sizes > 1).sum(axis=1).mean(), abs=0.05)
    assert found.chance.exchanged.n_arrangements == 70


def test_latents_beyond_one_are_counted() -> None:
    latents = np.random.default_rng(10).normal(size=(10, 200))
    y = np.arange(10) < 5
    size = np.abs(cohens_d(latents, y))
    found = largest_effect(latents, y, one_group(10), seed=0, n_permutations=50)
    assert found.n_large == int((size > 1).sum()) > int((size > 2).sum()) > 0


def test_no_p_value_is_zero() -> None:
    latents = np.arange(60.0)[:, None]
    found = largest_effect(latents, np.arange(60) < 30, one_group(60), seed=0, n_permutations=99)
    assert found.chance.p_value == 1 / 100


def test_a_labelling_without_a_d_speaks_for_chance() -> None:
    # One of 20 scenarios is positive. Ten of the others hold one vector only: where they are the
    # positive class, there is no d. So p is near 11 / 20, though nothing exceeds the given labels.
    groups = np.concatenate([np.repeat(np.arange(10), 2), np.arange(10, 20)])
    latents = np.where(groups == 0, 50.0, 0.0) + np.random.default_rng(11).normal(size=30)
    found = largest_effect(latents[:, None], groups == 0, groups, seed=0, n_permutations=4_000)
    assert found.chance.p_value == pytest.approx(11 / 20, abs=0.03)


def test_the_given_labelling_counts_as_exceeding_itself() -> None:
    # Nothing separates more than this: of 70 labellings, it and its reverse have this |d|.
    latents = column(0, 1, 2, 3, 10, 11, 12, 13)
    found = largest_effect(latents, np.arange(8) < 4, one_group(8), seed=0, n_permutations=20_000)
    assert found.chance.p_value == pytest.approx(2 / 70, abs=0.006)


def test_without_any_effect_p_values_are_spread_evenly() -> None:
    groups = one_group(38)
    y = np.arange(38) < 19
    p_values = []
    for repetition in range(100):
        latents = np.random.default_rng((5, repetition)).normal(size=(38, 60))
        p_values.append(largest_effect(latents, y, groups, seed=0, n_permutations=199).chance)
    n_found = sum(one.p_value <= 0.05 for one in p_values)
    # 95% of Binomial(100, 0.05) lie at or below 9; the bound is SciPy's.
    assert n_found <= stats.binom.ppf(0.95, 100, 0.05)
    assert 0.35 < np.mean([one.p_value for one in p_values]) < 0.65


def test_an_effect_of_the_scenario_is_no_effect_of_the_label_within_it() -> None:
    # Label and latent both depend on the scenario, and on nothing else.
    generator = np.random.default_rng(6)
    groups = np.repeat(np.arange(4), 40)
    y = generator.random(160) < np.array([0.1, 0.3, 0.7, 0.9])[groups]
    latents = (groups + generator.normal(size=160))[:, None]
    across = largest_effect(latents, y, one_group(160), seed=0)
    within = largest_effect(latents, y, groups, seed=0)
    assert across.chance.p_value < 0.005
    assert within.chance.p_value > 0.05


def test_a_planted_effect_is_found_on_other_vectors_with_its_sign() -> None:
    generator = np.random.default_rng(7)
    y = np.arange(200) % 2 == 0
    latents = generator.normal(size=(200, 500)).astype(np.float32)
    latents[y, 123] -= 1.2
    train, held_out = np.arange(200) < 120, np.arange(200) >= 120
    best = largest_effect(latents[train], y[train], one_group(120), seed=0)
    again = effect_of_chosen(
        latents[held_out], y[held_out], one_group(80), latent=best.latent, seed=0
    )
    assert best.latent == again.latent == 123
    assert again.d == cohens_d(latents[held_out], y[held_out])[123] < -0.7
    assert again.n_latents == 1
    assert again.chance.p_value < 0.01
    assert again.chance.high < best.chance.median


def test_a_chosen_latent_that_is_dead_on_other_vectors_is_refused_by_number() -> None:
    latents = np.zeros((10, 3))
    latents[:, 1] = np.arange(10)
    with pytest.raises(UndefinedMetric) as caught:
        effect_of_chosen(latents, np.arange(10) < 5, one_group(10), latent=2, seed=0)
    assert caught.value.where == "latent 2"


def test_dead_latents_alone_have_no_largest_effect() -> None:
    with pytest.raises(UndefinedMetric, match="no latent varies"):
        largest_effect(np.zeros((10, 3)), np.arange(10) < 5, one_group(10), seed=0)


def test_too_few_labellings_are_refused() -> None:
    groups = np.repeat(np.arange(4), 5)
    latents = np.random.default_rng(8).normal(size=(20, 3))
    # Of 4 scenarios 2 are positive: 6 ways.
    with pytest.raises(UndefinedMetric, match="6 different labellings"):
        largest_effect(latents, groups < 2, groups, seed=0)


def test_the_same_seed_gives_the_same_numbers() -> None:
    latents = np.random.default_rng(9).normal(size=(30, 20))
    y, groups = np.arange(30) < 12, np.arange(30) % 3
    first = largest_effect(latents, y, groups, seed=4)
    assert first == largest_effect(latents, y, groups, seed=4)
    assert first != largest_effect(latents, y, groups, seed=5)


def test_labels_stay_in_their_group_where_groups_hold_both() -> None:
    y = np.array([True, False, False, True, True, False, True, True])
    groups = np.array([5, 2, 5, 2, 2, 5, 9, 9])
    drawn = permuted_labels(y, groups, 2_000, seed=0)
    # Group 5 has one of three positive, group 2 two of three; group 9 is all positive.
    assert (drawn[:, groups == 5].sum(axis=1) == 1).all()
    assert (drawn[:, groups == 2].sum(axis=1) == 2).all()
    assert drawn[:, groups == 9].all()
    np.testing.assert_allclose(drawn[:, groups == 5].mean(axis=0), 1 / 3, atol=0.05)
    np.testing.assert_allclose(drawn[:, groups == 2].mean(axis=0), 2 / 3, atol=0.05)
    found = exchangeable(y, groups)
    assert (found.scheme, found.n_fixed, found.n_arrangements) == ("within_groups", 2, 9)


def test_whole_groups_exchange_labels_where_none_holds_both() -> None:
    groups = np.array([1, 2, 2, 1, 1, 3, 4, 4])
    y = np.isin(groups, [1, 4])
    drawn = permuted_labels(y, groups, 2_000, seed=0)
    for group in (1, 2, 3, 4):
        members = drawn[:, groups == group]
        assert (members == members[:, :1]).all()
        assert members.mean() == pytest.approx(0.5, abs=0.05)
    assert (drawn[:, [0, 1, 5, 6]].sum(axis=1) == 2).all()
    found = exchangeable(y, groups)
    assert (found.scheme, found.n_fixed, found.n_arrangements) == ("whole_groups", 0, 6)


def test_vectors_in_groups_of_their_own_are_all_exchangeable() -> None:
    y = np.arange(9) < 3
    drawn = permuted_labels(y, np.arange(9), 3_000, seed=1)
    assert (drawn.sum(axis=1) == 3).all()
    np.testing.assert_allclose(drawn.mean(axis=0), 1 / 3, atol=0.05)
    assert exchangeable(y, np.arange(9)).n_arrangements == 84
