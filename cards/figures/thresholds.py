"""How many thresholds of each JumpReLU SAE training has moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cards.architectures import thresholds_of
from cards.figures.figure import label_text, range_text
from cards.figures.look import COLOURS
from cards.metrics import THRESHOLD_MOVED, measurement
from cards.sources import Sources
from validators.metrics.thresholds import MOVED_BY

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

VERSION = 1


@dataclass(frozen=True)
class Thresholds:
    """By SAE, the share of the alive latents whose threshold moved by more than `moved_by`."""

    saes: tuple[str, ...]
    moved: tuple[float, ...]
    moved_by: float

    @property
    def alt(self) -> str:
        """The figure in words."""
        return (
            f"Share of the alive latents whose threshold training moved by more than "
            f"{self.moved_by:.0%}, of {len(self.saes)} JumpReLU SAEs: "
            f"{range_text(self.moved, '{:.1%}')}"
        )

    def draw(self, canvas: Canvas) -> None:
        """One bar for each SAE."""
        canvas.set_size_inches(6.0, 0.22 * len(self.saes) + 0.9)
        axes = canvas.subplots()
        rows = range(len(self.saes))
        axes.barh(rows, [100 * share for share in self.moved], color=COLOURS[1], height=0.7)
        axes.set_yticks(rows, [label_text(name) for name in self.saes])
        axes.set_ylim(len(self.saes) - 0.4, -0.6)
        axes.set_xlim(0, 100)
        axes.set_xlabel(f"thresholds moved by more than {self.moved_by:.0%} (% of alive latents)")
        axes.spines[["top", "right"]].set_visible(False)


def thresholds(sources: Sources) -> Thresholds | None:
    """The numbers of the figure; None where no SAE has learned thresholds.

    Raises:
        MissingMetric: the report lacks one.
    """
    found = [
        (spec.sae_id, value)
        for spec in sources.loaded.saes
        if thresholds_of(sources.loaded.manifest, spec) == "learned"
        and (value := measurement(sources.report, spec.sae_id, THRESHOLD_MOVED).value) is not None
    ]
    if not found:
        return None
    return Thresholds(tuple(name for name, _ in found), tuple(v for _, v in found), MOVED_BY)
