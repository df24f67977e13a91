"""Find the setting at which an SAE has the L0 that another one has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

TOLERANCE = 0.02
MAX_RUNS = 6


class Measured(Protocol):
    """What a run at a setting gave."""

    @property
    def setting(self) -> float:
        """The number that decides L0."""

    @property
    def l0(self) -> float:
        """Held-out L0."""

    @property
    def explained_variance(self) -> float:
        """Held-out explained variance."""


T = TypeVar("T", bound=Measured)


@dataclass(frozen=True)
class Match(Generic[T]):
    """The runs made, the one nearest to the wanted L0, and what it says at that L0.

    Attributes:
        explained_variance: of the nearest run where its L0 is within the tolerance; else between
            the runs on both sides, linear in log L0; None where all lie on one side.
    """

    runs: tuple[T, ...]
    nearest: T
    is_within: bool
    explained_variance: float | None


def match_l0(
    run: Callable[[float], T], first: float, wanted: float, *, slope: float, whole: bool
) -> Match[T]:
    """Run at settings until L0 is within 2% of the wanted one, at most six times.

    log L0 is taken as linear in log setting: with `slope` from one run, through the nearest two
    from then on.

    Args:
        run: trains at a setting and measures.
        first: the setting to begin with.
        wanted: L0.
        slope: d log L0 / d log setting, about.
        whole: settings are whole numbers.
    """
    runs: list[T] = []
    setting = first
    while len(runs) < MAX_RUNS:
        runs.append(run(setting))
        runs.sort(key=lambda made: _distance(made, wanted))
        if _distance(runs[0], wanted) <= math.log1p(TOLERANCE):
            break
        setting = next_setting(runs, wanted, slope=slope)
        if whole:
            setting = _whole_setting(setting, runs, wanted, slope=slope)
        if _was_run(setting, runs):
            break
    is_within = _distance(runs[0], wanted) <= math.log1p(TOLERANCE)
    value = runs[0].explained_variance if is_within else interpolated(runs, wanted)
    return Match(tuple(runs), runs[0], is_within, value)


def _whole_setting(
    setting: float, runs: Sequence[Measured], wanted: float, *, slope: float
) -> float:
    """The nearest whole number, or where that was run, the next one towards the wanted L0."""
    rounded = float(max(1, round(setting)))
    if not _was_run(rounded, runs):
        return rounded
    step = math.copysign(1, (wanted - runs[0].l0) * slope)
    return max(1.0, runs[0].setting + step)


def _was_run(setting: float, runs: Sequence[Measured]) -> bool:
    return any(math.isclose(setting, made.setting, rel_tol=1e-3) for made in runs)


def _distance(made: Measured, wanted: float) -> float:
    return abs(math.log(max(made.l0, 1e-3) / wanted))


def next_setting(runs: Sequence[Measured], wanted: float, *, slope: float) -> float:
    """The setting to try after these runs, nearest first; at most fourfold or a fourth."""
    best = runs[0]
    if len(runs) > 1:
        other = runs[1]
        run, rise = math.log(best.setting / other.setting), math.log(best.l0 / other.l0)
        # Two runs that say the opposite of what is known say nothing.
        if run and rise / run * slope > 0:
            slope = rise / run
    step = math.log(wanted / best.l0) / slope
    return best.setting * math.exp(max(-math.log(4), min(math.log(4), step)))


def interpolated(runs: Sequence[Measured], wanted: float) -> float | None:
    """Explained variance at the wanted L0, linear in log L0 between the runs next to it."""
    below = [made for made in runs if made.l0 <= wanted]
    above = [made for made in runs if made.l0 > wanted]
    if not below or not above:
        return None
    low, high = max(below, key=lambda made: made.l0), min(above, key=lambda made: made.l0)
    share = math.log(wanted / low.l0) / math.log(high.l0 / low.l0)
    return low.explained_variance + share * (high.explained_variance - low.explained_variance)
