"""Explained variance against L0: one panel for each condition, a colour for each architecture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cards.figures.figure import label_text, range_text
from cards.figures.look import FAINT, MARKERS, colour_of, legend_columns, tidy
from cards.sections.architectures import facts_of
from cards.sections.metrics import EXPLAINED_VARIANCE, L0, measurement
from cards.sources import Sources

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

VERSION = 1
# An SAE that is worse than this is drawn at the edge, or it would squeeze all others together.
_LOWEST = -1.0
_COLUMNS = 3


@dataclass(frozen=True)
class Point:
    """One SAE: explained variance without unit, with the ends of its interval; L0 in latents."""

    architecture: str
    layer: int
    condition: str
    l0: float
    explained_variance: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Sparsity:
    """All SAEs of which both numbers are known."""

    points: tuple[Point, ...]

    @property
    def alt(self) -> str:
        """The figure in words."""
        ranges = [
            f"{name} {range_text([p.explained_variance for p in of], '{:.3f}')} at L0 "
            f"{range_text([p.l0 for p in of], '{:.1f}')}"
            for name in self._architectures
            if (of := [point for point in self.points if point.architecture == name])
        ]
        return "Held-out explained variance against mean L0, by architecture: " + "; ".join(ranges)

    @property
    def _architectures(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(point.architecture for point in self.points))

    def draw(self, canvas: Canvas) -> None:
        """One panel for each condition, with common axes."""
        conditions = sorted({point.condition for point in self.points})
        n_columns = min(len(conditions), _COLUMNS)
        n_rows = math.ceil(len(conditions) / n_columns)
        canvas.set_size_inches(max(4.2, 3.0 * n_columns), 2.7 * n_rows + 0.9)
        panels = canvas.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        for panel in list(panels.flat)[len(conditions) :]:
            panel.set_visible(False)
        for panel, condition in zip(panels.flat, conditions, strict=False):
            self._panel(panel, condition)
        for panel in panels[:, 0]:
            panel.set_ylabel("explained variance, held out")
        for panel in panels[-1, :]:
            panel.set_xlabel("mean L0 (latents)")
        self._legend(canvas)

    def _panel(self, axes: Axes, condition: str) -> None:
        layers = sorted({point.layer for point in self.points})
        tidy(axes)
        axes.set_title(label_text(condition))
        for point in self.points:
            if point.condition != condition:
                continue
            is_below = point.explained_variance < _LOWEST
            y = max(point.explained_variance, _LOWEST)
            colour = colour_of(point.architecture, self._architectures)
            if point.low is not None and point.high is not None and not is_below:
                ends = (max(point.low, _LOWEST), max(point.high, _LOWEST))
                axes.vlines(point.l0, *ends, color=colour, linewidth=1, alpha=0.5)
            axes.plot(
                point.l0,
                y,
                MARKERS[layers.index(point.layer)] if len(layers) <= len(MARKERS) else "o",
                color=colour,
                markersize=5,
                markerfacecolor="none" if is_below else colour,
                linestyle="none",
            )
        lowest = min(point.explained_variance for point in self.points)
        axes.set_ylim(max(min(0.0, lowest - 0.05), _LOWEST - 0.05), 1.02)
        if lowest < 0:
            axes.axhline(0.0, color=FAINT, linewidth=0.8)
        l0 = [point.l0 for point in self.points]
        if min(l0) > 0 and max(l0) > 20 * min(l0):
            axes.set_xscale("log")
        else:
            axes.set_xlim(0, 1.08 * max(l0) or 1.0)

    def _legend(self, canvas: Canvas) -> None:
        from matplotlib.lines import Line2D

        layers = sorted({point.layer for point in self.points})
        handles = [
            Line2D([], [], marker="o", linestyle="none", label=name, color=colour)
            for name in self._architectures
            for colour in [colour_of(name, self._architectures)]
        ]
        if 1 < len(layers) <= len(MARKERS):
            handles += [
                Line2D([], [], marker=mark, linestyle="none", label=f"layer {layer}", color=FAINT)
                for layer, mark in zip(layers, MARKERS, strict=False)
            ]
        if any(point.explained_variance < _LOWEST for point in self.points):
            handles.append(
                Line2D(
                    [],
                    [],
                    marker="o",
                    linestyle="none",
                    color=FAINT,
                    markerfacecolor="none",
                    label=f"below {_LOWEST:g}",
                )
            )
        columns = legend_columns(len(handles))
        canvas.legend(handles=handles, loc="outside lower center", ncols=columns)


def sparsity(sources: Sources) -> Sparsity | None:
    """The numbers of the figure; None where no SAE has both.

    Raises:
        MissingMetric: the report lacks one of the two.
    """
    if not sources.has_measurements:
        return None
    points = []
    for spec in sources.loaded.saes:
        explained = measurement(sources.report, spec.sae_id, EXPLAINED_VARIANCE)
        l0 = measurement(sources.report, spec.sae_id, L0)
        if explained.value is None or l0.value is None:
            continue
        points.append(
            Point(
                architecture=facts_of(sources.loaded.manifest, spec).label,
                layer=spec.layer,
                condition=spec.condition,
                l0=l0.value,
                explained_variance=explained.value,
                low=explained.low,
                high=explained.high,
            )
        )
    return Sparsity(tuple(points)) if points else None
