"""The search for a setting with a wanted L0, on made-up relations between the two."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from benchmarks.l0_matching import MAX_RUNS, interpolated, match_l0, next_setting


@dataclass(frozen=True)
class Run:
    setting: float
    l0: float
    explained_variance: float = 0.0


def test_one_run_is_enough_where_the_first_setting_has_the_l0() -> None:
    # 65 is 1.6% above 64.
    match = match_l0(lambda k: Run(k, k + 1, 0.5), 64, 64, slope=1, whole=True)
    assert [run.setting for run in match.runs] == [64]
    assert match.is_within
    assert match.explained_variance == 0.5


def test_a_power_law_is_met_at_the_third_run_at_the_latest() -> None:
    # L0 = 10 c^-0.5: of 40, c = 1/16. With the slope -1 from c = 0.1 (L0 31.6) the second run is
    # at 0.1 * 31.6/40 = 0.079 (L0 35.6); two runs give the true slope, so the third is exact.
    match = match_l0(lambda c: Run(c, 10 * c**-0.5), 0.1, 40, slope=-1, whole=False)
    assert len(match.runs) == 3
    assert match.nearest.setting == pytest.approx(1 / 16)


def test_a_whole_setting_between_two_others_gives_the_value_between_them() -> None:
    # L0 is 10 k: 24 lies between 20 and 30; log(24/20) / log(30/20) = 0.4497.
    match = match_l0(lambda k: Run(k, 10 * k, k / 10), 2, 24, slope=1, whole=True)
    assert not match.is_within
    assert match.explained_variance == pytest.approx(0.2450, abs=1e-4)
    assert [run.setting for run in match.runs] == [2, 3]


def test_l0_that_is_never_reached_ends_without_a_value() -> None:
    match = match_l0(lambda c: Run(c, 100 + c / 1000), 1, 50, slope=1, whole=False)
    assert len(match.runs) <= MAX_RUNS
    assert not match.is_within
    assert match.explained_variance is None


def test_a_step_is_at_most_fourfold() -> None:
    assert next_setting([Run(1, 1)], 1000, slope=1) == pytest.approx(4)
    assert next_setting([Run(1, 1000)], 1, slope=1) == pytest.approx(0.25)


def test_two_runs_that_contradict_the_sign_of_the_slope_are_not_believed() -> None:
    # A larger target gave a smaller L0, by chance: the slope 1 stands, so 10 * 12/10 = 12.
    assert next_setting([Run(10, 10), Run(11, 9.9)], 12, slope=1) == pytest.approx(12)


def test_interpolation_takes_the_runs_next_to_the_wanted_l0() -> None:
    runs = [Run(1, 10, 0.1), Run(2, 40, 0.3), Run(3, 160, 0.5), Run(4, 1000, 9.0)]
    # 80 is half way from 40 to 160 in logarithms.
    assert interpolated(runs, 80) == pytest.approx(0.4)
    assert math.log(80 / 40) == pytest.approx(math.log(160 / 80))
    assert interpolated(runs, 5) is None
