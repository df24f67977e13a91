"""Whether d_max and the top latents come back: on other vectors, and in SAEs of other seeds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from validators.metrics.effect_size import cohens_d
from validators.metrics.feature_matching import (
    highest_cosine_by_chance,
    matched_features,
    retrained_stability,
)
from validators.metrics.stability import split_stability, stability_verdict, top_latents
from validators.metrics.undefined import UndefinedMetric


def planted(
    *, n: int = 400, d_sae: int = 300, n_planted: int = 10, effect: float, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Normal latents [n, d_sae], the first of which differ between two equal classes."""
    generator = np.random.default_rng(seed)
    y = np.arange(n) % 2 == 0
    latents = generator.normal(size=(n, d_sae)).astype(np.float32)
    latents[y, :n_planted] += np.linspace(effect, 1.5 * effect, n_planted, dtype=np.float32)
    return latents, y


def directions(n: int, d_in: int, seed: int) -> NDArray[np.float32]:
    """Random rows [n, d_in] of length 1."""
    rows = np.random.default_rng(seed).normal(size=(n, d_in))
    return np.asarray(rows / np.linalg.norm(rows, axis=1)[:, None], np.float32)


def test_top_latents_fall_by_size_and_leave_out_what_has_no_d() -> None:
    d = np.array([0.1, np.nan, -0.9, 0.5, -0.5, 0.2])
    assert top_latents(d, 4).tolist() == [2, 3, 4, 5]
    with pytest.raises(UndefinedMetric, match="only 5 latents"):
        top_latents(d, 5)


def test_planted_latents_come_back_in_both_halves() -> None:
    latents, y = planted(effect=1.5)
    found = split_stability(latents, y, np.zeros(400, np.int64), seed=0, n_top=10)
    assert found.top_overlap > 0.95
    assert found.verdict.verdict == "stable"
    assert [one.name for one in found.verdict.decided_by] == [
        "d_max_variation",
        "top_overlap",
        "top_overlap_above_chance",
    ]
    assert len(found.halves) == 5
    for pair in found.halves:
        assert [half.n_positive for half in pair] == [100, 100]
        assert [half.n_negative for half in pair] == [100, 100]


def test_a_steady_d_max_of_meaningless_labels_is_not_called_stable() -> None:
    latents, y = planted(effect=0)
    found = split_stability(latents, y, np.zeros(400, np.int64), seed=0)
    assert found.d_max_sd / found.d_max_mean < 0.15
    assert found.verdict.verdict == "unstable"
    assert {one.name for one in found.verdict.decided_by} >= {"top_overlap"}
    # 20 of 300 in each half: a latent of the one is in the other with 20 / 300.
    assert found.overlap_if_drawn == pytest.approx(20 / 300)
    # Independent latents agree as often as drawn ones, so permuting finds the hypergeometric mean.
    assert found.overlap_by_chance == pytest.approx(20 / 300, abs=0.01)
    assert found.top_overlap < found.overlap_by_chance_high + 0.05


def test_latents_that_cannot_get_on_top_make_agreement_by_chance_likelier_than_a_draw() -> None:
    generator = np.random.default_rng(1)
    latents = generator.normal(size=(200, 200)) + 5
    # Active on 3 of 200 vectors, a latent cannot have a large d; so the top 5 are among 40.
    rare = generator.random((200, 160)).argsort(axis=0) >= 3
    latents[:, 40:][rare] = 0
    found = split_stability(latents, np.arange(200) < 90, np.zeros(200, np.int64), seed=0, n_top=5)
    assert found.overlap_by_chance > 2 * found.overlap_if_drawn


def test_the_halves_are_what_their_numbers_say() -> None:
    latents, y = planted(effect=0.5, n=41, d_sae=30, seed=2)
    groups = np.arange(41) % 3
    found = split_stability(latents, y, groups, seed=3, n_splits=4, n_top=5)
    d_max = [half.d_max for pair in found.halves for half in pair]
    assert found.d_max_mean == pytest.approx(np.mean(d_max))
    assert found.d_max_sd == pytest.approx(np.std(d_max, ddof=1))
    shared = [len(set(a.top) & set(b.top)) for a, b in found.halves]
    assert found.top_overlap == pytest.approx(np.mean(shared) / 5)
    assert found.top_jaccard == pytest.approx(np.mean([k / (10 - k) for k in shared]))
    for first, second in found.halves:
        assert first.n_positive + second.n_positive == 21
        assert first.n_negative + second.n_negative == 20
        assert abs(first.n_positive - second.n_positive) <= 3
    values = {one.name: (one.value, one.limit) for one in found.verdict.criteria}
    assert values == {
        "d_max_variation": (pytest.approx(found.d_max_sd / found.d_max_mean), 0.15),
        "top_overlap": (found.top_overlap, 0.5),
        "top_overlap_above_chance": (found.top_overlap, found.overlap_by_chance_high),
    }
    assert found == split_stability(latents, y, groups, seed=3, n_splits=4, n_top=5)
    assert found != split_stability(latents, y, groups, seed=4, n_splits=4, n_top=5)


def test_every_scenario_is_in_both_halves() -> None:
    # Each scenario has 2 vectors of each label and a latent of its own: in every half there is one
    # of each, so every latent has a d there.
    groups = np.repeat(np.arange(30), 4)
    latents = (groups[:, None] == np.arange(30)) * np.random.default_rng(12).uniform(1, 2, (120, 1))
    found = split_stability(latents, np.arange(120) % 2 == 0, groups, seed=0, n_top=5)
    assert [half.n_latents for pair in found.halves for half in pair] == [30] * 10


def test_what_only_tells_whole_scenarios_apart_does_not_come_back() -> None:
    # Each scenario has one label and a direction of its own: halves share no scenario.
    generator = np.random.default_rng(4)
    groups = np.repeat(np.arange(40), 10)
    latents = (2 * generator.normal(size=(40, 100)))[groups] + generator.normal(size=(400, 100))
    y = groups % 2 == 0
    apart = split_stability(latents, y, groups, seed=0, n_top=10)
    mixed = split_stability(latents, y, np.zeros(400, np.int64), seed=0, n_top=10)
    assert mixed.top_overlap > mixed.overlap_by_chance_high
    assert apart.top_overlap < apart.overlap_by_chance_high
    assert apart.verdict.verdict == "unstable"
    for pair in apart.halves:
        assert [half.n_positive for half in pair] == [100, 100]


def test_fewer_latents_than_the_top_asks_for_are_refused() -> None:
    latents, y = planted(effect=1, d_sae=20)
    with pytest.raises(UndefinedMetric, match="only 20 latents"):
        split_stability(latents, y, np.zeros(400, np.int64), seed=0)


def test_a_verdict_names_every_number_that_decided_it() -> None:
    # Mean 2, deviations -1, 0, 1: sd 1, so 0.5.
    verdict = stability_verdict(
        d_max=np.array([1.0, 2.0, 3.0]), top_overlap=0.6, overlap_by_chance=0.7
    )
    assert verdict.verdict == "unstable"
    assert [one.name for one in verdict.decided_by] == [
        "d_max_variation",
        "top_overlap_above_chance",
    ]
    assert verdict.decided_by[0].value == pytest.approx(0.5)
    assert verdict.decided_by[0].limit == 0.15
    lenient = stability_verdict(
        d_max=np.array([1.0, 2.0, 3.0]),
        top_overlap=0.6,
        overlap_by_chance=0.1,
        max_variation=0.5,
        min_overlap=0.6,
    )
    assert lenient.verdict == "stable"
    assert len(lenient.decided_by) == 3


def test_the_seeds_of_the_gf1_card_are_unstable() -> None:
    # 0.561, 0.775, 0.643: mean 0.6597, squares 0.00973 + 0.01330 + 0.00028, over 2 and rooted
    # 0.108 (the card's 0.088 divides by 3); 2, 1 and 1 of 5 top latents shared.
    d_max = np.array([0.561, 0.775, 0.643])
    assert d_max.std(ddof=1) == pytest.approx(0.108, abs=0.0005)
    verdict = stability_verdict(d_max=d_max, top_overlap=4 / 15, overlap_by_chance=5 / 181)
    assert verdict.verdict == "unstable"
    values = {one.name: one.value for one in verdict.decided_by}
    assert values["d_max_variation"] == pytest.approx(0.1636, abs=0.0005)
    assert values["top_overlap"] == pytest.approx(0.267, abs=0.0005)


def test_permuted_decoders_match_latent_by_latent() -> None:
    W_dec = directions(50, 32, seed=0)
    order = np.random.default_rng(1).permutation(50)
    shuffled = 3 * W_dec[order]
    where = np.argsort(order)
    top = [4, 8, 15, 16, 23]
    found = matched_features(W_dec, shuffled, top_a=top, top_b=where[top].tolist())
    assert found.best == tuple(where[top].tolist())
    assert found.best_cosines == pytest.approx([1] * 5, abs=1e-5)
    assert found.top_overlap == found.found_share == 1
    assert found.mean_max_cosine == pytest.approx(1, abs=1e-5)
    assert found.index_overlap == len(set(top) & set(where[top].tolist())) / 5 < 1


def test_latents_are_paired_one_to_one() -> None:
    # In the plane: a at 0 and 5 degrees, b at 2 and 90. Both of a are near b's first only.
    def at(*degrees: float) -> NDArray[np.float64]:
        angles = np.deg2rad(degrees)
        return np.column_stack([np.cos(angles), np.sin(angles)])

    found = matched_features(at(0, 5), at(2, 90), top_a=[0, 1], top_b=[0, 1])
    assert found.best == (0, 0)
    assert found.found_share == 1
    assert found.n_matched == 1
    # Three pairs are the same directions, 45-45 to 135-135, and leave 0 and 180 without a partner:
    # cosines of 3 in all. The four pairs 0-45 to 135-180 have 4 cos 45 = 2.83, and are more.
    four = [0, 1, 2, 3]
    found = matched_features(at(0, 45, 90, 135), at(45, 90, 135, 180), top_a=four, top_b=four)
    assert found.n_matched == 4
    # Rows that point the other way are other latents.
    found = matched_features(at(0, 50), at(180, 230), top_a=[0, 1], top_b=[0, 1])
    assert found.n_matched == 0
    assert found.found_share == 0


def test_a_match_that_is_not_on_top_of_the_other_is_found_but_no_overlap() -> None:
    W_dec = directions(40, 64, seed=2)
    found = matched_features(W_dec, W_dec, top_a=[0, 1, 2, 3], top_b=[2, 3, 4, 5])
    assert found.found_share == 1
    assert found.top_overlap == 0.5
    assert found.index_overlap == 0.5


def test_dead_latents_are_no_matches() -> None:
    W_dec = directions(30, 16, seed=3)
    alive = np.arange(30) != 7
    found = matched_features(W_dec, W_dec, top_a=[7, 8], top_b=[8, 9], alive_b=alive)
    assert found.best[0] != 7
    assert found.best_cosines[0] < 0.99
    assert found.best[1] == 8
    with pytest.raises(UndefinedMetric, match=r"\[7\]"):
        matched_features(W_dec, W_dec, top_a=[7, 8], top_b=[8, 9], alive_a=alive)


def test_random_decoders_agree_as_much_as_the_formula_says() -> None:
    found = matched_features(
        directions(500, 64, seed=4),
        directions(500, 64, seed=5),
        top_a=list(range(20)),
        top_b=list(range(20)),
    )
    assert found.n_compared == 500
    assert found.mean_max_cosine == pytest.approx(found.highest_by_chance, abs=0.02)
    assert found.top_overlap == 0
    # By number they agree fully, which says nothing.
    assert found.index_overlap == 1
    # In the plane the angle to the nearer of 2 directions has its median where P(angle > t)^2 =
    # 1/2; angles are even on [0, 180], so t = 180 (1 - sqrt(1/2)) = 52.7 degrees.
    assert highest_cosine_by_chance(2, 2) == pytest.approx(np.cos(np.deg2rad(52.72)), abs=1e-3)


def test_retrained_saes_with_the_same_latents_in_another_order_are_stable() -> None:
    latents, y = planted(effect=1, d_sae=60, n_planted=20)
    W_dec = directions(60, 32, seed=6)
    orders = [np.random.default_rng((7, seed)).permutation(60) for seed in range(3)]
    found = retrained_stability(
        [latents[:, order] for order in orders], [W_dec[order] for order in orders], y, n_top=10
    )
    assert found.pairs == ((0, 1), (0, 2), (1, 2))
    for (a, b), match in zip(found.pairs, found.matches, strict=True):
        # The latents of a's top, in b's order.
        assert match.best == tuple(np.argsort(orders[b])[orders[a][list(found.top[a])]].tolist())
    assert found.top_overlap == 1
    assert found.index_overlap < 0.6
    assert found.d_max == pytest.approx([np.abs(cohens_d(latents, y)).max()] * 3)
    assert found.d_max_sd == pytest.approx(0, abs=1e-9)
    assert found.verdict.verdict == "stable"


def test_retrained_saes_with_other_latents_are_unstable_whatever_their_numbers() -> None:
    latents, y = planted(effect=1, d_sae=60, n_planted=20)
    decoders = [directions(60, 32, seed=seed) for seed in (8, 9)]
    found = retrained_stability([latents, latents], decoders, y, n_top=10)
    assert found.index_overlap == 1
    assert found.top_overlap == 0
    assert found.verdict.verdict == "unstable"
    with pytest.raises(UndefinedMetric, match="at least 2 SAEs"):
        retrained_stability([latents], decoders[:1], y)
