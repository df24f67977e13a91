"""The trend of a label's share over a dose: hand-worked, and right about chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from validators.metrics.label_trend import Outcomes, label_trend
from validators.metrics.undefined import UndefinedMetric

DOSES = np.array([-1.0, 0.0, 1.0])


def outcomes(rows: list[str], groups: list[int], doses: np.ndarray = DOSES) -> Outcomes:
    """A word for each series, a letter for each dose: d, h, or - for no label."""
    letters = np.array([list(row) for row in rows])
    return Outcomes(doses, letters == "d", letters != "-", np.array(groups))


def random_outcomes(
    generator: np.random.Generator, by_dose: list[float], labelled: list[float]
) -> Outcomes:
    """Nine scenarios of five series at doses -2 to 2; scenarios differ in their level."""
    level = generator.uniform(-0.25, 0.25, size=9).repeat(5)
    share = np.clip(np.array(by_dose) + level[:, None], 0, 1)
    # One number for each series, as common random numbers make the outcomes of a series alike.
    is_deceptive = generator.random((45, 1)) < share
    is_labelled = generator.random((45, 5)) < np.array(labelled)
    return Outcomes(
        np.arange(-2.0, 3.0), is_deceptive & is_labelled, is_labelled, np.arange(9).repeat(5)
    )


def test_slope_and_p_value_are_those_worked_by_hand() -> None:
    trend = label_trend(outcomes(["hhd", "hdd"], [0, 0]))
    # Shares 0, 1/2, 1 at -1, 0, 1. Each series' sum is -1 * -1/2 + 1 * 1/2 = 1. Of the four ways
    # to exchange signs, with sums 2, 0, 0, -2, two are as far from 0 as the given one.
    assert trend.slope == pytest.approx(0.5)
    assert trend.p_value == pytest.approx(0.5)
    assert (trend.n_labelled, trend.doses) == (6, (-1.0, 0.0, 1.0))
    assert (trend.n_rising, trend.n_falling) == (1, 0)


def test_five_series_that_all_rise_have_two_of_32_exchanges_as_their_p_value() -> None:
    assert label_trend(outcomes(["hhd"] * 5, [0] * 5)).p_value == pytest.approx(2 / 32)
    falling = label_trend(outcomes(["dhh"] * 5, [0] * 5))
    assert falling.p_value == pytest.approx(2 / 32)
    assert falling.slope == pytest.approx(-0.5)


def test_a_label_that_only_depends_on_the_size_of_the_dose_has_no_trend() -> None:
    trend = label_trend(outcomes(["dhd"] * 20, [0] * 20))
    assert trend.slope == 0
    assert trend.p_value == 1
    assert (trend.n_rising, trend.n_falling) == (0, 0)


def test_completions_without_a_label_do_not_count_for_either() -> None:
    # Without the last series' missing label this were the first test's slope; labelled are doses
    # -1, 0, 1, -1, 0 with mean -1/5 and shares 0, 0, 1, 0, 1 with mean 2/5: the numerator is
    # 2/5 + 3/5 + 2/5 = 7/5 and the spread 3 - 5/25 = 14/5.
    trend = label_trend(outcomes(["hhd", "hd-"], [0, 0]))
    assert trend.slope == pytest.approx(0.5)
    assert trend.n_labelled == 5


def test_scenarios_of_different_level_are_compared_with_themselves_only() -> None:
    # The first scenario is labelled at -1 and 0 only and deceptive, the second the other way
    # round: over all of them the share falls from 1 to 0, within either it does not move.
    rows = ["dd-"] * 4 + ["-hh"] * 4 + ["hdh", "hdh"]
    trend = label_trend(outcomes(rows, [0] * 4 + [1] * 4 + [2] * 2))
    assert trend.slope == 0
    assert trend.n_labelled == 22


def test_a_pair_of_doses_that_leaves_too_few_labels_is_left_out() -> None:
    doses = np.array([-9.0, -1.0, 0.0, 1.0, 9.0])
    # At 0 four are labelled, at -9 and 9 together three of eight: fewer than half of four each.
    rows = ["dhhdh", "dhhd-", "-hhd-", "-hhd-"]
    trend = label_trend(outcomes(rows, [0] * 4, doses))
    assert trend.doses == (-1.0, 0.0, 1.0)
    assert trend.slope == pytest.approx(0.5)
    # With one more it is exactly half.
    whole = label_trend(outcomes([*rows[:3], "dhhd-"], [0] * 4, doses))
    assert whole.doses == (-9.0, -1.0, 0.0, 1.0, 9.0)
    assert whole.slope < 0


@pytest.mark.parametrize("rows", [["ddd", "ddd"], ["hhh"], ["---", "-h-"], ["ddd", "hhh"]])
def test_where_no_scenario_has_both_labels_there_is_no_trend(rows: list[str]) -> None:
    with pytest.raises(UndefinedMetric, match="both labels"):
        label_trend(outcomes(rows, list(range(len(rows)))))


@pytest.mark.parametrize(
    ("by_dose", "labelled"),
    [
        ([0.5] * 5, [0.8] * 5),
        # Large doses change the label and break the text, both signs alike.
        ([0.7, 0.6, 0.5, 0.6, 0.7], [0.5, 0.7, 0.8, 0.7, 0.5]),
        # One sign breaks more text than the other; what is left has the same share.
        ([0.5] * 5, [0.9, 0.9, 0.9, 0.6, 0.5]),
    ],
)
def test_chance_is_called_a_trend_as_rarely_as_the_p_value_says(
    by_dose: list[float], labelled: list[float]
) -> None:
    generator = np.random.default_rng(0)
    found = [
        label_trend(random_outcomes(generator, by_dose, labelled)).p_value < 0.05
        for _ in range(100)
    ]
    assert sum(found) <= binom.ppf(0.95, 100, 0.05)


def test_a_share_that_moves_with_the_dose_is_found() -> None:
    generator = np.random.default_rng(0)
    trends = [
        label_trend(random_outcomes(generator, [0.36, 0.43, 0.5, 0.57, 0.64], [0.8] * 5))
        for _ in range(100)
    ]
    assert sum(trend.p_value < 0.05 and trend.slope > 0 for trend in trends) >= 80
    # 0.07 for each unit, less where a scenario's level meets 0 or 1.
    assert np.mean([trend.slope for trend in trends]) == pytest.approx(0.07, abs=0.01)


def test_the_same_outcomes_give_the_same_p_value() -> None:
    generator = np.random.default_rng(3)
    given = random_outcomes(generator, [0.4, 0.45, 0.5, 0.55, 0.6], [0.8] * 5)
    assert label_trend(given) == label_trend(given)
