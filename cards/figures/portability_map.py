"""SAEs by precisions: overlap of the active latents, and fall of the explained variance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cards.figures.figure import label_text, range_text
from cards.figures.look import BAND, FAINT, INK
from cards.sources import Sources
from validators.report import Shift

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

VERSION = 1
# With more rows than these, numbers in the cells would make the file large and are too small.
_MOST_ROWS_WITH_NUMBERS = 24
_MOST_ROWS_WITH_NAMES = 80
Values = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class _Measure:
    """What one panel shows: its words, how it writes numbers, its colours from 0 to `end`."""

    title: str
    form: str
    colours: str
    end: float
    limit: float


@dataclass(frozen=True)
class PortabilityMap:
    """Values by SAE, then by precision; None where there is none.

    `drops` is the fall of the explained variance as a share of its value at the own precision;
    `least_jaccard` and `worst_drop` are the manifest's limits.
    """

    trained_at: str
    saes: tuple[str, ...]
    precisions: tuple[str, ...]
    jaccard: Values
    drops: Values
    least_jaccard: float
    worst_drop: float

    @property
    def alt(self) -> str:
        """The figure in words."""
        words = []
        for column, label in enumerate(self.precisions):
            overlap = _known(self.jaccard, column)
            drop = _known(self.drops, column)
            parts = []
            if overlap:
                parts.append(f"Jaccard index {range_text(overlap, '{:.3f}')}")
            if drop:
                parts.append(f"explained variance falls by {range_text(drop, '{:.1%}')}")
            words.append(f"{label}: {', '.join(parts) or 'nothing measured'}")
        return (
            f"{len(self.saes)} SAEs at other precisions than {self.trained_at}. {'; '.join(words)}"
        )

    def draw(self, canvas: Canvas) -> None:
        """Two maps side by side, with a common list of SAEs."""
        n_rows, n_columns = len(self.saes), len(self.precisions)
        has_names = n_rows <= _MOST_ROWS_WITH_NAMES
        longest = max(len(label_text(name)) for name in self.saes) if has_names else 4
        height = n_rows * (0.24 if n_rows <= _MOST_ROWS_WITH_NUMBERS else 0.16)
        width = 0.075 * longest + 2 * (0.55 * n_columns + 1.1)
        canvas.set_size_inches(max(width, 5.0), min(height, 14.0) + 1.4)
        left, right = canvas.subplots(1, 2, sharey=True)
        overlap = _Measure("mean Jaccard index", "{:.2f}", "viridis", 1.0, self.least_jaccard)
        # A drop beyond twice its limit is as dark as one at twice its limit.
        worst = self.worst_drop
        drop = _Measure("fall of explained variance", "{:.0%}", "viridis_r", 2 * worst, worst)
        self._panel(canvas, left, self.jaccard, overlap)
        self._panel(canvas, right, self.drops, drop)
        if has_names:
            left.set_yticks(range(n_rows), [label_text(name) for name in self.saes])
        else:
            left.set_yticks([])
            left.set_ylabel(f"{n_rows} SAEs, in the order of the manifest")

    def _panel(
        self,
        canvas: Canvas,
        axes: Axes,
        values: Values,
        measure: _Measure,
    ) -> None:
        import numpy as np
        from matplotlib import colormaps
        from matplotlib.colors import Normalize

        shown = np.ma.masked_invalid(
            [[np.nan if value is None else value for value in row] for row in values]
        )
        axes.set_facecolor(BAND)
        mesh = axes.pcolormesh(
            np.arange(len(self.precisions) + 1) - 0.5,
            np.arange(len(self.saes) + 1) - 0.5,
            shown,
            cmap=colormaps[measure.colours],
            norm=Normalize(0.0, measure.end),
        )
        if len(self.saes) <= _MOST_ROWS_WITH_NUMBERS:
            _write_numbers(axes, values, measure)
        axes.set_xlim(-0.5, len(self.precisions) - 0.5)
        axes.set_ylim(len(self.saes) - 0.5, -0.5)
        axes.set_xticks(
            range(len(self.precisions)),
            [label_text(label) for label in self.precisions],
            rotation=45,
            ha="right",
            rotation_mode="anchor",
        )
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(measure.title)
        bar = canvas.colorbar(mesh, ax=axes, location="bottom", aspect=25, shrink=0.9)
        bar.outline.set_edgecolor(FAINT)
        bar.ax.axvline(measure.limit, color="white", linewidth=2.5)
        bar.ax.axvline(measure.limit, color=INK, linewidth=1)
        bar.ax.tick_params(labelsize=7)


def _write_numbers(axes: Axes, values: Values, measure: _Measure) -> None:
    """The value of each cell, in a colour that its ground leaves readable."""
    from matplotlib import colormaps

    colours = colormaps[measure.colours]
    for row, of_sae in enumerate(values):
        for column, value in enumerate(of_sae):
            ink, text = INK, "-"
            if value is not None:
                text = measure.form.format(value)
                red, green, blue, _ = colours(min(max(value / measure.end, 0.0), 1.0))
                # Luma of ITU-R BT.601.
                ink = "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else INK
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=7)


def portability_map(sources: Sources) -> PortabilityMap | None:
    """The numbers of the figure; None where nothing was run at another precision."""
    found = sources.portability
    if found is None:
        return None
    labels = tuple(
        label
        for label, loaded in found.precisions.items()
        if label != found.trained_at and loaded.refused is None
    )
    if not labels:
        return None
    sae_ids = tuple(spec.sae_id for spec in sources.loaded.saes)

    def values(name: str) -> Values:
        return tuple(tuple(_value(found.saes[one][at], name) for at in labels) for one in sae_ids)

    limits = sources.loaded.manifest.portability.limits
    return PortabilityMap(
        trained_at=found.trained_at,
        saes=sae_ids,
        precisions=labels,
        jaccard=values("jaccard"),
        drops=values("explained_variance_drop"),
        least_jaccard=limits.min_overlap,
        worst_drop=limits.max_explained_variance_drop,
    )


def _value(shift: Shift, name: str) -> float | None:
    found = shift.metrics.get(name)
    return None if found is None else found.value


def _known(values: Sequence[Sequence[float | None]], column: int) -> list[float]:
    return [value for row in values if (value := row[column]) is not None]
