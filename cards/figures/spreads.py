"""Histograms of many SAEs as small panels: one for each kind and condition, a line for each layer.

What has no place on a logarithmic axis, such as latents that never fire, is dots beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cards.figures.figure import label_text
from cards.figures.look import BAND, FAINT, legend_columns, tidy
from cards.sections.architectures import facts_of
from manifests.matrix import SaeSpec
from manifests.model import Manifest
from validators.distributions import Bins

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_COLUMNS = 3
_LONGEST_TITLE = 30
_MOST_LAYERS_NAMED = 12
_SLIGHTLY = 0.03
# Of the colour scale, whose end is too faint on white.
_LAST_COLOUR = 0.82


@dataclass(frozen=True)
class Spread:
    """One SAE: latents by value, between edges that ascend.

    Attributes:
        kind: its architecture, and its variant where it has one.
        condition: what it was trained on.
        layer: where.
        n: the vectors that it rests on; None where it rests on weights alone.
        edges: one more than counts.
        counts: latents in each bin.
        below: latents under the first edge.
        above: latents over the last edge.
    """

    kind: str
    condition: str
    layer: int
    n: int | None
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    below: int
    above: int

    @property
    def n_latents(self) -> int:
        """All that were counted."""
        return self.below + sum(self.counts) + self.above

    def percent(self, count: int) -> float:
        """A number of latents in percent of all that were counted."""
        return 100 * count / self.n_latents if self.n_latents else 0.0

    @property
    def is_binned(self) -> bool:
        """Whether any latent lies between the edges."""
        return any(self.counts)

    @property
    def median(self) -> float | None:
        """The middle, by ratio, of the bin that holds the median of those between the edges."""
        left = sum(self.counts) / 2
        for low, high, count in zip(self.edges, self.edges[1:], self.counts, strict=False):
            left -= count
            if count and left <= 0:
                return math.sqrt(low * high)
        return None


def spread_of(manifest: Manifest, spec: SaeSpec, bins: Bins, *, n: int | None) -> Spread:
    """One SAE's bins, under the name of its kind: architecture and variant."""
    facts = facts_of(manifest, spec)
    kind = "ReLU" if facts.is_relu else facts.label
    return Spread(
        kind=f"{kind} {spec.variant}" if spec.variant else kind,
        condition=spec.condition,
        layer=spec.layer,
        n=n,
        **bins.model_dump(),
    )


def in_order(spreads: Iterable[Spread]) -> tuple[Spread, ...]:
    """By kind, condition and layer."""
    return tuple(sorted(spreads, key=lambda each: (each.kind, each.condition, each.layer)))


@dataclass(frozen=True)
class Axis:
    """The horizontal axis: its words, its ticks, and what the dots beside it are."""

    label: str
    ticks: tuple[tuple[float, str], ...]
    beside: str | None
    marked: float | None = None


def draw_spreads(canvas: Canvas, spreads: Sequence[Spread], axis: Axis, *, of_latents: str) -> None:
    """Draw all panels with common axes.

    Args:
        canvas: an empty one.
        spreads: at least one of them with latents between its edges.
        axis: the horizontal one.
        of_latents: what the vertical one is a percentage of.
    """
    keys = list(dict.fromkeys((spread.kind, spread.condition) for spread in spreads))
    layers = sorted({spread.layer for spread in spreads})
    colours = _colours(layers)
    n_columns = _n_columns(keys)
    n_rows = math.ceil(len(keys) / n_columns)
    canvas.set_size_inches(max(4.4, 2.5 * n_columns + 0.4), 1.5 * n_rows + 1.1)
    panels = canvas.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    low, high = _ends(spreads, axis)
    zone = _Zone(low, high, layers) if axis.beside else None
    shown = list(panels.flat)[: len(keys)]
    for panel in list(panels.flat)[len(keys) :]:
        panel.set_visible(False)
    for panel, key in zip(shown, keys, strict=True):
        own = [spread for spread in spreads if (spread.kind, spread.condition) == key]
        tidy(panel)
        panel.set_title("\n".join(_title(key, own)), fontsize=8)
        for spread in own:
            _line(panel, spread, colours(spread.layer), zone, is_filled=len(own) == 1)
        if axis.marked is not None:
            panel.axvline(axis.marked, color=FAINT, linewidth=1, linestyle="--")
        if zone:
            zone.shade(panel)
    first = panels[0, 0]
    first.set_xscale("log")
    first.set_xlim(zone.start if zone else low, high)
    first.set_ylim(bottom=0)
    first.locator_params(axis="y", nbins=5, steps=[1, 2, 5, 10])
    _set_ticks(first, axis, zone, low, high)
    # The last panel of a column may stand above a row that is cut short.
    for panel in shown[-n_columns:]:
        panel.tick_params(labelbottom=True)
    canvas.supxlabel(axis.label, fontsize=8)
    canvas.supylabel(of_latents, fontsize=8)
    _legend(canvas, layers, colours)


def _ends(spreads: Sequence[Spread], axis: Axis) -> tuple[float, float]:
    """Of the axis: wide enough for all bins, and for what is marked."""
    binned = [spread for spread in spreads if spread.is_binned]
    low = min(spread.edges[0] for spread in binned)
    high = max(spread.edges[-1] for spread in binned)
    if axis.marked is None:
        return low, high
    # A line on the frame would not be seen.
    return min(low, axis.marked * (1 - _SLIGHTLY)), max(high, axis.marked * (1 + _SLIGHTLY))


@dataclass(frozen=True)
class _Zone:
    """The strip at the left of a logarithmic axis, in which each layer has its dot."""

    low: float
    high: float
    layers: Sequence[int]

    @property
    def start(self) -> float:
        """Its left end: a quarter of the axis' length in front of it."""
        return self.low * math.pow(self.low / self.high, 0.25)

    @property
    def end(self) -> float:
        """Its right end."""
        return self._at(0.88)

    @property
    def middle(self) -> float:
        """Where its name stands."""
        return self._at(0.44)

    def dot(self, layer: int) -> float:
        """Where the dot of a layer stands; they ascend."""
        return self._at(0.88 * (self.layers.index(layer) + 1) / (len(self.layers) + 1))

    def _at(self, share: float) -> float:
        return self.start * math.pow(self.low / self.start, share)

    def shade(self, axes: Axes) -> None:
        """Set it apart from the axis."""
        axes.axvspan(self.start, self.end, color=BAND, alpha=0.45, linewidth=0, zorder=0.5)


def _line(
    axes: Axes, spread: Spread, colour: object, zone: _Zone | None, *, is_filled: bool
) -> None:
    if spread.is_binned:
        heights = [spread.percent(count) for count in spread.counts]
        if is_filled:
            axes.stairs(heights, spread.edges, fill=True, color=colour, alpha=0.18)
        axes.stairs(heights, spread.edges, color=colour, linewidth=1.2)
    if zone:
        axes.plot(
            [zone.dot(spread.layer)],
            [spread.percent(spread.below)],
            marker="o",
            markersize=3.5,
            linestyle="none",
            color=colour,
            clip_on=False,
        )


def _set_ticks(axes: Axes, axis: Axis, zone: _Zone | None, low: float, high: float) -> None:
    first = low * (1 - _SLIGHTLY)
    if zone:
        # Nearer to the strip, it would lie on the strip's name.
        first = low * math.pow(high / low, 0.08)
    within = [(at, name) for at, name in axis.ticks if first <= at <= high * (1 + _SLIGHTLY)]
    if zone and axis.beside:
        within.insert(0, (zone.middle, axis.beside))
    axes.set_xticks([at for at, _ in within], [name for _, name in within])
    axes.minorticks_off()


def _n_columns(keys: Sequence[tuple[str, str]]) -> int:
    """Conditions side by side where every kind has all of them, else as many as fit."""
    kinds = dict.fromkeys(kind for kind, _ in keys)
    conditions = dict.fromkeys(condition for _, condition in keys)
    is_grid = len(kinds) * len(conditions) == len(keys)
    if is_grid and 1 < len(conditions) <= _COLUMNS:
        return len(conditions)
    return min(len(keys), _COLUMNS)


def _title(key: tuple[str, str], own: Sequence[Spread]) -> tuple[str, str]:
    kind, condition = key
    counts = sorted({spread.n for spread in own if spread.n is not None})
    n = f", n = {' or '.join(f'{count:,}' for count in counts)}" if counts else ""
    return (
        label_text(kind, longest=_LONGEST_TITLE),
        label_text(condition, longest=_LONGEST_TITLE - len(n)) + n,
    )


def _colours(layers: Sequence[int]) -> Callable[[int], object]:
    """From dark to light as layers ascend."""
    from matplotlib import colormaps

    scale, steps = colormaps["viridis"], max(len(layers) - 1, 1)
    return lambda layer: scale(_LAST_COLOUR * layers.index(layer) / steps)


def _legend(canvas: Canvas, layers: Sequence[int], colours: Callable[[int], object]) -> None:
    from matplotlib.lines import Line2D

    named = list(layers)
    if len(named) > _MOST_LAYERS_NAMED:
        step = (len(named) - 1) / (_MOST_LAYERS_NAMED - 1)
        named = [named[round(i * step)] for i in range(_MOST_LAYERS_NAMED)]
    handles = [
        Line2D([], [], color=colours(layer), linewidth=2, label=f"layer {layer}")  # type: ignore[arg-type]
        for layer in named
    ]
    # Below, it would lie on the common label of the horizontal axes.
    canvas.legend(handles=handles, loc="outside upper center", ncols=legend_columns(len(handles)))
