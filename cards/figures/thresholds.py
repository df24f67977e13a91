"""Thresholds of JumpReLU SAEs after training, against those before it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cards.figures.figure import range_text
from cards.figures.spreads import Axis, Spread, draw_spreads, in_order, spread_of
from cards.sections.architectures import thresholds_of
from cards.sections.metrics import THRESHOLD_MOVED, measurement
from cards.sources import Sources
from manifests.matrix import SaeSpec
from validators.distributions import ThresholdSpread
from validators.metrics.conventions import MOVED_BY

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

VERSION = 2
# Within a decade, by the ratio of the axis' ends up to which there is room for them.
_TICKS: tuple[tuple[float, tuple[float, ...]], ...] = (
    (6, (1, 1.4, 2, 2.8, 4, 5.5, 7.5)),
    (40, (1, 2, 5)),
    (math.inf, (1,)),
)


@dataclass(frozen=True)
class Thresholds:
    """By SAE, latents by threshold; SAEs without a threshold above 0 are only counted.

    Attributes:
        spreads: by the ratio to the threshold before training, where `is_ratio`, else in the units
            of the exported weights.
        is_ratio: whether the threshold before training is known of all of them.
        are_alive: whether latents that were never active in training are left out of all of them.
        n_left_out: how many those are, over all SAEs.
        n_at_zero: SAEs whose every threshold is 0 or less.
        moved: of each SAE, where it was measured, the share of the alive latents whose threshold
            moved by more than `moved_by`.
        moved_by: a share of the threshold before training.
    """

    spreads: tuple[Spread, ...]
    is_ratio: bool
    are_alive: bool
    n_left_out: int
    n_at_zero: int
    moved: tuple[float, ...]
    moved_by: float

    @property
    def alt(self) -> str:
        """The figure in words."""
        medians = [median for spread in self.spreads if (median := spread.median) is not None]
        latents = "latents that were active in it" if self.are_alive else "latents"
        words = [
            f"Thresholds after training, by JumpReLU SAE ({len(self.spreads)}). The median over "
            f"the {latents} is {range_text(medians, '{:.3g}')}"
            + (" times what every threshold was before" if self.is_ratio else "")
        ]
        if not self.is_ratio:
            words.append("what they were before training is not recorded of all")
        if self.moved:
            words.append(
                f"{range_text(self.moved, '{:.1%}')} moved by more than {self.moved_by:.0%}"
            )
        if self.n_left_out:
            words.append(f"{self.n_left_out:,} latents that were not active are left out")
        return "; ".join([*words, *self._notes])

    @property
    def _notes(self) -> list[str]:
        words = []
        if n_above := sum(spread.above for spread in self.spreads):
            words.append(f"{n_above:,} latents lie beyond the axis")
        if self.n_at_zero:
            words.append(
                f"not shown: {self.n_at_zero} whose thresholds are all 0, never trained, so ReLU"
            )
        return words

    def draw(self, canvas: Canvas) -> None:
        """Panels with a logarithmic axis of thresholds; dots for those near 0."""
        low = min(spread.edges[0] for spread in self.spreads)
        high = max(spread.edges[-1] for spread in self.spreads)
        label = "threshold after training, in units of the activations; before it: not recorded"
        if self.is_ratio:
            low, high = min(low, 1.0), max(high, 1.0)
            label = "threshold after training, in multiples of that before it (dashed line)"
        axis = Axis(
            label="\n".join([label, *self._notes]),
            ticks=_ticks(low, high),
            beside="near 0" if any(spread.below for spread in self.spreads) else None,
            marked=1.0 if self.is_ratio else None,
        )
        latents = "alive latents" if self.are_alive else "latents"
        draw_spreads(canvas, self.spreads, axis, of_latents=f"% of the {latents}")


def _ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    own = next(ticks for most, ticks in _TICKS if high / low < most)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    texts = [f"{float(f'{tick:g}e{decade}'):g}" for decade in decades for tick in own]
    return tuple((float(text), text) for text in texts)


def thresholds(sources: Sources) -> Thresholds | None:
    """The numbers of the figure; None where no SAE has a threshold of its own above 0.

    Raises:
        MissingMetric: the report lacks the share of thresholds that moved.
    """
    found = [
        (spec, own)
        for spec in sources.loaded.saes
        if thresholds_of(sources.loaded.manifest, spec) in ("learned", "fixed_at_zero")
        and (own := _measured(sources, spec)) is not None
    ]
    shown = [(spec, own) for spec, own in found if any(own.after.counts)]
    if not shown:
        return None
    is_ratio = all(own.before is not None and own.before > 0 for _, own in shown)
    return Thresholds(
        spreads=in_order(_spread(sources, spec, own, is_ratio=is_ratio) for spec, own in shown),
        is_ratio=is_ratio,
        are_alive=all(own.latents == "alive" for _, own in shown),
        n_left_out=sum(own.n_left_out for _, own in shown),
        n_at_zero=len(found) - len(shown),
        moved=tuple(_moved(sources, [spec for spec, _ in shown])),
        moved_by=MOVED_BY,
    )


def _measured(sources: Sources, spec: SaeSpec) -> ThresholdSpread | None:
    if not sources.has_measurements:
        return None
    own = sources.measurements.distributions.get(spec.sae_id)
    return None if own is None else own.thresholds


def _spread(sources: Sources, spec: SaeSpec, own: ThresholdSpread, *, is_ratio: bool) -> Spread:
    spread = spread_of(sources.loaded.manifest, spec, own.after, n=None)
    if not is_ratio or own.before is None:
        return spread
    # The digest has these edges, so they must not depend on a machine's last digit.
    return replace(spread, edges=tuple(float(f"{e / own.before:.6g}") for e in spread.edges))


def _moved(sources: Sources, specs: list[SaeSpec]) -> list[float]:
    found = (measurement(sources.report, spec.sae_id, THRESHOLD_MOVED).value for spec in specs)
    return [value for value in found if value is not None]
