"""Whether one probe is better than another on the same vectors, and how sure that is among many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from validators.metrics.bootstrap import MIN_GROUPS, Difference, _drawn_units, _draws, _interval
from validators.metrics.linear_probe import Probe
from validators.metrics.undefined import UndefinedMetric

N_EXCHANGES = 10_000
_ENUMERATED = 13  # 2**13 exchanges are fewer than N_EXCHANGES
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Comparison:
    """Balanced accuracy of a second probe minus that of a first one.

    Attributes:
        difference: the value, and its 95% bootstrap interval over units.
        p_value: one-sided, that the second is no better: the share of exchanges of the two probes'
            predictions, unit by unit, that give at least this difference.
        unit: what is drawn and exchanged: whole groups, or single vectors where there are fewer
            than `MIN_GROUPS` groups or each vector is its own. With single vectors of few groups
            the statement is about these very groups and says nothing of others.
        parts: [units] what each unit contributes; the sum is the difference.
    """

    difference: Difference
    p_value: float
    unit: Literal["group", "vector"]
    parts: NDArray[np.float64]

    @property
    def n_units(self) -> int:
        """How many units; no p-value is below 2 ** -n_units."""
        return len(self.parts)


def compare_probes(
    first: Probe,
    second: Probe,
    y: NDArray[np.bool_],
    groups: NDArray[np.integer[Any]],
    *,
    seed: int,
) -> Comparison:
    """Compare the out-of-fold predictions of two probes of the same vectors and folds.

    Balanced accuracy is a weighted sum over vectors, so that the difference is one too: a vector
    that only the second tells rightly adds 1/2 over the size of its class, one that only the first
    does takes that away. If neither is better, the two predictions of a group could as well have
    been exchanged, all of the group's at once since vectors of a group are alike: all 2^groups
    exchanges are made, or from 14 groups on 10,000 drawn ones.

    Args:
        first: the baseline.
        second: what may beat it.
        y: labels [n].
        groups: [n] the group of each vector.
        seed: of the drawn exchanges; the same for all comparisons that are adjusted together.

    Raises:
        UndefinedMetric: the probes are of other vectors, one class only, or too few vectors.

    Source: Good 2005, "Permutation, Parametric and Bootstrap Tests of Hypotheses", section 3.1;
    the interval: `validators.metrics.bootstrap`; docs/terms.md.
    """
    y = np.asarray(y, dtype=bool)
    if not len(first.predictions) == len(second.predictions) == len(y):
        raise UndefinedMetric(
            f"the probes are of {len(first.predictions)} and {len(second.predictions)} vectors, "
            f"and there are {len(y)} labels",
            expected="two probes of the same vectors and folds",
        )
    if y.all() or not y.any():
        raise UndefinedMetric("all labels are the same")
    index, n_units = _drawn_units(np.asarray(groups, dtype=np.int64))
    rights = [probe.predictions == y for probe in (first, second)]
    gained = rights[1].astype(np.int64) - rights[0]
    weight = 0.5 / np.where(y, y.sum(), (~y).sum())
    parts = np.zeros(n_units)
    np.add.at(parts, index, gained * weight)
    of_groups = MIN_GROUPS <= len(np.unique(groups)) < len(y)
    return Comparison(
        difference=_bootstrapped(gained, y, index, n_units),
        p_value=_p_value(parts, seed),
        unit="group" if of_groups else "vector",
        parts=parts,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: each is the level at which Holm's step-down procedure would reject it.

    The k-th smallest of m is multiplied by m - k + 1, made no smaller than those before it and at
    most 1. Holds for any dependence between the tests.

    Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    adjusted = [0.0] * len(p_values)
    reached = 0.0
    for rank, which in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[which]))
        adjusted[which] = reached
    return adjusted


def _p_value(parts: NDArray[np.float64], seed: int) -> float:
    """Share of exchanges whose difference reaches the given one."""
    exchanged = _signs(len(parts), seed) @ parts
    return float((exchanged >= parts.sum() - _ROUNDING).mean())


def _signs(n_units: int, seed: int) -> NDArray[np.int8]:
    """[exchanges, units] 1 or -1; the first row exchanges nothing."""
    if n_units <= _ENUMERATED:
        bits = np.arange(2**n_units)[:, None] >> np.arange(n_units) & 1
    else:
        bits = np.random.default_rng(seed).integers(0, 2, (N_EXCHANGES + 1, n_units))
        bits[0] = 0
    return (1 - 2 * bits).astype(np.int8)


def _bootstrapped(
    gained: NDArray[np.int64], y: NDArray[np.bool_], index: NDArray[np.int64], n_units: int
) -> Difference:
    """The difference with its interval; each draw divides by its own sizes of the classes."""
    draws = _draws(n_units)
    value, drawn = 0.0, np.zeros(len(draws))
    for of_class in (y, ~y):
        gains = np.bincount(index, weights=gained * of_class, minlength=n_units)
        sizes = np.bincount(index, weights=of_class, minlength=n_units)
        value += 0.5 * gains.sum() / sizes.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn += 0.5 * (draws @ gains) / (draws @ sizes)
    return _interval(float(value), drawn, 0.95)
