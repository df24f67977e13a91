"""How often the latents of each SAE fire, and how many never do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cards.figures.figure import range_text
from cards.figures.spreads import Axis, Spread, draw_spreads, in_order, spread_of
from cards.sources import Sources

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

VERSION = 1
# An edge of the bins wherever there are ten vectors or more.
_OFTEN = 0.1


@dataclass(frozen=True)
class FiringDensityData:
    """By SAE, latents by the share of held-out vectors on which they are active."""

    spreads: tuple[Spread, ...]

    @property
    def alt(self) -> str:
        """The figure in words."""
        words = [self._of_kind(kind) for kind in dict.fromkeys(s.kind for s in self.spreads)]
        return (
            "How often latents fire: latents by the share of held-out vectors on which they are "
            f"active, by SAE ({len(self.spreads)}). {'; '.join(words)}"
        )

    def _of_kind(self, kind: str) -> str:
        own = [spread for spread in self.spreads if spread.kind == kind]
        never = [spread.percent(spread.below) for spread in own]
        words = f"{kind}: {range_text(never, '{:.1f}%')} of the latents never fire"
        often = [spread.percent(_latents_from(spread, _OFTEN)) for spread in own]
        if all(_OFTEN in spread.edges for spread in own):
            words += f", {range_text(often, '{:.1f}%')} fire on {_OFTEN:.0%} of the vectors or more"
        return words

    def draw(self, canvas: Canvas) -> None:
        """Panels with a logarithmic axis of shares, and dots for what never fires."""
        ticks = [(10.0**-i, f"{100 * 10.0**-i:.{max(i - 2, 0)}f}%") for i in range(8, -1, -1)]
        axis = Axis(
            label="share of the held-out vectors on which a latent fires; dots: it never does",
            ticks=tuple(ticks),
            beside="never",
        )
        draw_spreads(canvas, self.spreads, axis, of_latents="% of the latents")


def firing_density(sources: Sources) -> FiringDensityData | None:
    """The numbers of the figure; None where the report has none, as one of the format before."""
    if not sources.has_measurements:
        return None
    found = [
        spread_of(sources.loaded.manifest, spec, density.shares, n=density.n)
        for spec in sources.loaded.saes
        if (own := sources.measurements.distributions.get(spec.sae_id)) is not None
        and (density := own.firing_density) is not None
    ]
    return FiringDensityData(in_order(found)) if any(s.is_binned for s in found) else None


def _latents_from(spread: Spread, edge: float) -> int:
    """Latents at an edge or above it."""
    counts = zip(spread.edges, spread.counts, strict=False)
    return sum(count for low, count in counts if low >= edge) + spread.above
