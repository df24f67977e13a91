"""Whether the share of a label rises or falls with a dose that is given both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.undefined import UndefinedMetric

N_RESAMPLES = 1_999
# Below half the labels that the dose 0 leaves, what still matches a pattern is not an answer.
MIN_LABELLED = 0.5
_SEED = 0


@dataclass(frozen=True)
class Outcomes:
    """What one series of draws gave at every dose; the doses of a series share random numbers.

    Attributes:
        doses: [doses] strictly increasing, symmetric about 0, which is one of them.
        is_positive: [series, doses] has the label whose share is asked for.
        is_labelled: [series, doses] has that label or its opposite.
        groups: [series] which series are of one scenario.
    """

    doses: NDArray[np.floating[Any]]
    is_positive: NDArray[np.bool_]
    is_labelled: NDArray[np.bool_]
    groups: NDArray[np.int64]


@dataclass(frozen=True)
class LabelTrend:
    """How the share of the label changes with the dose.

    Attributes:
        slope: change of the share for one more unit of the dose.
        p_value: of a slope as far from 0 where both signs of the dose do the same.
        n_labelled: labelled outcomes that the slope rests on.
        doses: those of them that were used; the others left too few labels.
        n_rising: scenarios whose own slope is above 0.
        n_falling: scenarios whose own slope is below 0.
    """

    slope: float
    p_value: float
    n_labelled: int
    doses: tuple[float, ...]
    n_rising: int
    n_falling: int


def label_trend(outcomes: Outcomes) -> LabelTrend:
    """Slope of the label's share over the dose within scenarios, with a sign-flip p-value.

    `slope = sum (dose - m_g) (is_positive - p_g) / sum (dose - m_g)^2` over labelled outcomes, with
    `p_g` the share of the label and `m_g` the mean dose in the scenario g: the least-squares slope
    with a level for each scenario. Its numerator is that of Cochran and Armitage's test, by Mantel
    extended to strata.

    The null is that a dose and its opposite do the same to the labels. It holds where the dose does
    nothing, and also where it only breaks the text, more so the larger it is. Then every series
    could as well have been run with all signs exchanged, so the p-value is two-sided over random
    exchanges of whole series; over all of them where they are few. A series keeps its outcomes
    together, so common random numbers do no harm.

    A pair of opposite doses is left out where both together are labelled less than `MIN_LABELLED`
    times as often as the dose 0: exchanging signs does not change which pairs these are.

    Raises:
        UndefinedMetric: no scenario has both labels over the doses that are left.

    Source: Mantel 1963, "Chi-square tests with one degree of freedom"; sign flips: Winkler et al.
    2014, "Permutation inference for the general linear model", NeuroImage 92.
    """
    from scipy.stats import permutation_test

    doses = outcomes.doses.astype(np.float64)
    _check(outcomes, doses)
    used = _used_doses(outcomes, doses)
    is_counted = outcomes.is_labelled & used
    _, group = np.unique(outcomes.groups, return_inverse=True)
    share, mean_dose = _by_group(outcomes, is_counted, group, doses)
    residual = np.where(is_counted, outcomes.is_positive - share[group][:, None], 0.0)
    if not residual.any():
        raise UndefinedMetric("no scenario has completions of both labels")
    spread = np.where(is_counted, doses - mean_dose[group][:, None], 0.0)
    by_series = residual @ doses
    by_group = np.bincount(group, weights=by_series)
    # Rounding of sums that are 0 by hand must not count as a direction.
    noise = 1e-9 * np.abs(doses).max() * is_counted.sum()
    test = permutation_test(
        (by_series, np.zeros_like(by_series)),
        lambda given, exchanged, axis: (given - exchanged).sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=N_RESAMPLES,
        rng=np.random.default_rng(_SEED),
    )
    return LabelTrend(
        slope=float(by_series.sum() / (spread**2).sum()),
        p_value=float(test.pvalue),
        n_labelled=int(is_counted.sum()),
        doses=tuple(float(dose) for dose in doses[used]),
        n_rising=int((by_group > noise).sum()),
        n_falling=int((by_group < -noise).sum()),
    )


def _check(outcomes: Outcomes, doses: NDArray[np.float64]) -> None:
    shape = (len(outcomes.groups), len(doses))
    assert outcomes.is_positive.shape == outcomes.is_labelled.shape == shape
    assert (np.diff(doses) > 0).all() and (doses == -doses[::-1]).all() and 0 in doses
    assert not (outcomes.is_positive & ~outcomes.is_labelled).any()


def _used_doses(outcomes: Outcomes, doses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[doses] those whose pair is labelled often enough."""
    n_labelled = outcomes.is_labelled.sum(axis=0)
    return np.asarray((n_labelled + n_labelled[::-1]) / 2 >= MIN_LABELLED * n_labelled[doses == 0])


def _by_group(
    outcomes: Outcomes,
    is_counted: NDArray[np.bool_],
    group: NDArray[np.int64],
    doses: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of the label and mean dose of each scenario's labelled outcomes; 0 where none is."""
    n = np.bincount(group, weights=is_counted.sum(axis=1))
    n_positive = np.bincount(group, weights=(outcomes.is_positive & is_counted).sum(axis=1))
    sum_of_doses = np.bincount(group, weights=is_counted @ doses)
    at_least_one = np.maximum(n, 1)
    return n_positive / at_least_one, sum_of_doses / at_least_one
