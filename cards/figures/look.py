"""Colours and marks that the figures share; readable for the colour-blind, on a white ground."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito 2008, without yellow, which is faint on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK = "#1f2328"
FAINT = "#8c959f"
BAND = "#d0d7de"


def colour_of(name: str, among: Sequence[str]) -> str:
    """The colour of one of several names; they repeat after seven."""
    return COLOURS[list(among).index(name) % len(COLOURS)]


def tidy(axes: Axes) -> None:
    """Only the left and lower border, and faint horizontal lines behind everything."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="y", color=BAND, linewidth=0.6)
    axes.set_axisbelow(True)


def legend_columns(n_entries: int, *, at_most: int = 6) -> int:
    """So many that the rows of a legend are equally full."""
    return math.ceil(n_entries / math.ceil(n_entries / at_most))
