"""Comparisons of two probes, and corrections for several: hand-worked and by their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score

from validators.metrics.linear_probe import Probe
from validators.metrics.paired_tests import compare_probes, holm
from validators.metrics.undefined import UndefinedMetric

Y = np.arange(24) % 2 == 0
GROUPS = np.arange(24) // 4


def with_predictions(predictions: NDArray[np.bool_], y: NDArray[np.bool_] = Y) -> Probe:
    """A probe of which only the predictions matter."""
    return Probe(
        n=len(y),
        n_positive=int(y.sum()),
        n_columns=1,
        balanced_accuracy=float(balanced_accuracy_score(y, predictions)),
        spread=None,
        auroc=None,
        auroc_spread=None,
        majority_share=0.5,
        p_value=1.0,
        chance_low=0.5,
        chance_high=0.5,
        strengths=(),
        scores=np.zeros(len(y)),
        predictions=predictions,
        null=np.zeros(1),
    )


def wrong_at(rows: list[int]) -> Probe:
    return with_predictions(np.where(np.isin(np.arange(24), rows), ~Y, Y))


def test_the_difference_and_its_p_value_are_those_worked_by_hand() -> None:
    # The first errs once in each of six groups, the second never.
    first, second = wrong_at([0, 4, 8, 12, 16, 21]), wrong_at([])
    found = compare_probes(first, second, Y, GROUPS, seed=0)
    # 5 of 12 positives and 1 of 12 negatives gained: (5/12 + 1/12) / 2.
    assert found.difference.value == pytest.approx(0.25)
    assert found.difference.value == pytest.approx(
        second.balanced_accuracy - first.balanced_accuracy
    )
    np.testing.assert_allclose(found.parts, 1 / 24)
    # Of 2^6 exchanges only the one that exchanges nothing reaches it.
    assert found.p_value == 1 / 64
    assert (found.unit, found.n_units) == ("group", 6)
    assert 0 < found.difference.low <= 0.25 <= found.difference.high


def test_the_test_is_one_sided() -> None:
    worse = compare_probes(wrong_at([]), wrong_at([0, 4, 8, 12, 16, 20]), Y, GROUPS, seed=0)
    assert worse.difference.value == pytest.approx(-0.25)
    assert worse.difference.high < 0
    assert worse.p_value == 1.0


def test_equal_predictions_are_no_difference() -> None:
    found = compare_probes(wrong_at([1, 5]), wrong_at([1, 5]), Y, GROUPS, seed=0)
    assert (found.difference.value, found.difference.low, found.difference.high) == (0, 0, 0)
    assert found.p_value == 1.0


def test_a_gain_within_one_group_counts_once() -> None:
    found = compare_probes(wrong_at([0, 1, 2, 3]), wrong_at([]), Y, GROUPS, seed=0)
    # All four vectors are exchanged together: half of the exchanges reach it, not 1 in 16.
    assert found.p_value == 0.5


def test_single_vectors_give_the_sign_test() -> None:
    y = np.arange(200) % 2 == 0
    gained, lost = np.arange(14), np.arange(14, 20)
    first = with_predictions(np.where(np.isin(np.arange(200), gained), ~y, y), y)
    second = with_predictions(np.where(np.isin(np.arange(200), lost), ~y, y), y)
    found = compare_probes(first, second, y, np.arange(200), seed=1)
    assert found.unit == "vector"
    # Classes of one size: McNemar's exact test of 14 against 6, one-sided, here from 10,000 draws.
    expected = binomtest(14, 20, alternative="greater").pvalue
    assert found.p_value == pytest.approx(expected, abs=4 * np.sqrt(expected / 10_000))


def test_fewer_than_five_groups_are_compared_by_vectors_and_it_is_said() -> None:
    found = compare_probes(wrong_at([0, 3]), wrong_at([]), Y, np.arange(24) % 3, seed=0)
    assert (found.unit, found.n_units) == ("vector", 24)


def test_probes_of_other_vectors_are_refused() -> None:
    with pytest.raises(UndefinedMetric, match="24 and 24 vectors, and there are 23"):
        compare_probes(wrong_at([]), wrong_at([]), Y[1:], GROUPS[1:], seed=0)
    with pytest.raises(UndefinedMetric, match="all labels are the same"):
        compare_probes(wrong_at([]), wrong_at([]), np.ones(24, bool), GROUPS, seed=0)


def test_holm_gives_the_values_worked_by_hand() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1 is 0.02, 0.03, 0.06, 0.04; the last is
    # lifted to 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def test_holm_finds_nothing_among_many_tests_of_few_groups() -> None:
    y, groups = np.arange(36) % 2 == 0, np.arange(36) // 4
    wrong = np.where(np.arange(36) % 4 == 0, ~y, y)
    compared = [
        compare_probes(with_predictions(wrong, y), with_predictions(y, y), y, groups, seed=0)
    ] * 54
    # With 9 groups no p-value is below 1/512, and 54/512 is above 0.1 however clear the gain is.
    assert holm([one.p_value for one in compared])[0] == pytest.approx(54 / 512)
