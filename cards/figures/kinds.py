"""All figures that a card can have. A further one is a module beside this and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cards.figures import firing_density, portability_map, probe_profile, sparsity, thresholds
from cards.figures.figure import Figure, FigureData, figure_of
from cards.sources import Sources


@dataclass(frozen=True)
class Kind:
    """A kind of figure: the version of its drawing, and its numbers of some sources."""

    version: int
    data: Callable[[Sources], FigureData | None]


KINDS: dict[str, Kind] = {
    "sparsity": Kind(sparsity.VERSION, sparsity.sparsity),
    "firing_density": Kind(firing_density.VERSION, firing_density.firing_density),
    "thresholds": Kind(thresholds.VERSION, thresholds.thresholds),
    "probe_profile": Kind(probe_profile.VERSION, probe_profile.probe_profile),
    "portability": Kind(portability_map.VERSION, portability_map.portability_map),
}


def figures_of(sources: Sources) -> dict[str, Figure | None]:
    """By kind, the figure that the sources have numbers for, or None; all None without a report.

    Raises:
        MissingMetric: the report lacks a number that a figure shows.
    """
    found = {name: kind.data(sources) for name, kind in KINDS.items()}
    return {
        name: None if data is None else figure_of(name, KINDS[name].version, data)
        for name, data in found.items()
    }
