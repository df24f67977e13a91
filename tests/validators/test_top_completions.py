"""What the top latents fire on: hand-worked rates, rows in order, and copies noticed."""

from __future__ import annotations

import numpy as np
import pytest

from validators.metrics.effect_size import cohens_d
from validators.metrics.top_completions import share, top_completions
from validators.metrics.undefined import UndefinedMetric

Y = np.array([True, True, True, True, False, False, False, False])
LATENTS = np.array(
    [
        # Latent 0 is active on three positive vectors and one negative one; 1 is near twice that in
        # another order; 2 is dead; 3 is active once.
        [5, 10, 0, 0],
        [7, 13, 0, 0],
        [0, 0, 0, 0],
        [7, 14, 0, 1],
        [0, 0, 0, 0],
        [2, 3, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ],
    np.float32,
)


def test_rates_count_active_vectors_of_each_class() -> None:
    first = {one.latent: one for one in top_completions(LATENTS, Y)}[0]
    assert (first.firing_positive.k, first.firing_positive.n) == (3, 4)
    assert (first.firing_negative.k, first.firing_negative.n) == (1, 4)
    assert (first.positive_of_active.k, first.positive_of_active.n) == (3, 4)
    assert first.firing_negative.value == 0.25


def test_latents_come_by_the_size_of_their_d_and_those_without_one_do_not() -> None:
    found = top_completions(LATENTS, Y)
    d = cohens_d(LATENTS, Y)
    assert [one.latent for one in found] == [1, 0, 3]
    assert [one.d for one in found] == [d[1], d[0], d[3]]
    assert [one.latent for one in top_completions(LATENTS, Y, n_latents=2)] == [1, 0]
    # Reversed labels reverse the sign and nothing else.
    assert [one.d for one in top_completions(LATENTS, ~Y)] == [-d[1], -d[0], -d[3]]


def test_rows_fall_by_activation_and_leave_out_what_is_not_active() -> None:
    first = {one.latent: one for one in top_completions(LATENTS, Y)}[0]
    assert first.top.rows == (1, 3, 0, 5)
    assert first.top.activations == (7, 7, 5, 2)
    assert first.top_positive.rows == (1, 3, 0)
    assert first.top_negative.rows == (5,)
    short = {one.latent: one for one in top_completions(LATENTS, Y, n_rows=2)}[0]
    assert short.top.rows == short.top_positive.rows == (1, 3)


def test_a_negative_value_is_active_and_comes_last() -> None:
    latents = np.array([[-1], [2], [0], [3]], np.float32)
    found = top_completions(latents, np.array([True, True, False, False]))[0]
    assert found.top.rows == (3, 1, 0)


def test_latents_with_the_same_rows_on_top_name_each_other() -> None:
    found = {one.latent: one for one in top_completions(LATENTS, Y)}
    assert found[0].same_rows_as == (1,)
    assert found[1].same_rows_as == (0,)
    assert found[3].same_rows_as == ()


def test_the_same_example_in_both_classes_is_noticed_though_further_rows_differ() -> None:
    generator = np.random.default_rng(0)
    latents = np.abs(generator.normal(size=(40, 3)))
    y = np.arange(40) < 20
    latents[3, :2] = latents[33, :2] = 9
    latents[4, 2] = latents[33, 2] = 9
    found = {one.latent: one for one in top_completions(latents, y, n_rows=5)}
    assert set(found[0].top.rows) != set(found[1].top.rows)
    assert found[0].same_rows_as == (1,)
    assert found[1].same_rows_as == (0,)
    assert found[2].same_rows_as == ()


def test_the_interval_of_a_share_is_wilsons() -> None:
    # k = 3, n = 4, z = 1.959964, z^2 = 3.841459: centre (0.75 + 0.480182) / 1.960365 = 0.627527,
    # half width 1.959964 sqrt(0.75 * 0.25 / 4 + 3.841459 / 64) / 1.960365 = 0.326885.
    found = share(3, 4)
    assert found.low == pytest.approx(0.627527 - 0.326885, abs=2e-5)
    assert found.high == pytest.approx(0.627527 + 0.326885, abs=2e-5)
    assert share(0, 10).low == 0
    assert share(10, 10).high == 1
    assert share(30, 40).high - share(30, 40).low < found.high - found.low


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(UndefinedMetric, match="share of nothing"):
        share(0, 0)


def test_constant_labels_and_dead_latents_are_refused() -> None:
    with pytest.raises(UndefinedMetric, match="2 vectors of each class"):
        top_completions(LATENTS, np.ones(8, np.bool_))
    with pytest.raises(UndefinedMetric, match="no latent varies"):
        top_completions(np.zeros((8, 2)), Y)
