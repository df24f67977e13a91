"""A share of counted things with its confidence interval."""

from __future__ import annotations

from dataclasses import dataclass

from validators.metrics.undefined import UndefinedMetric

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rate:
    """`count` of `n`, as a share between 0 and 1 with its interval.

    Attributes:
        count: how many have the property.
        n: how many were counted.
        value: `count / n`.
        low: lower end of the interval.
        high: upper end.
    """

    count: int
    n: int
    value: float
    low: float
    high: float


def rate(count: int, n: int, *, confidence: float = CONFIDENCE) -> Rate:
    """`count / n` with the interval of Clopper and Pearson, which never covers too rarely.

    The interval is of n independent draws. Draws of several scenarios in fixed numbers vary less
    than that, since only the draws within a scenario are random: for the mean over those scenarios
    the interval covers at least as often as it says. It says nothing of other scenarios.

    Args:
        count: how many have the property.
        n: how many were counted.
        confidence: how often such intervals cover the true share, at least.

    Raises:
        UndefinedMetric: nothing was counted.

    Source: Clopper & Pearson 1934; of unequal shares: Hoeffding 1956, "On the distribution of the
    number of successes in independent trials".
    """
    from scipy.stats import binomtest

    assert 0 <= count <= n, "a part of what was counted"
    if n == 0:
        raise UndefinedMetric("nothing was counted")
    interval = binomtest(count, n).proportion_ci(confidence, method="exact")
    return Rate(count, n, count / n, float(interval.low), float(interval.high))
