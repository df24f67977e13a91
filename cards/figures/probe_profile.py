"""Balanced accuracy of probes by layer: raw activations, SAEs' latents, and chance."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cards.figures.figure import range_text
from cards.figures.look import BAND, FAINT, INK, colour_of, legend_columns, tidy
from cards.sections.architectures import facts_of
from cards.sections.detection import ACCURACY, CHANCE, metric_of, metric_of_layer
from cards.sources import Sources

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

VERSION = 1
_GUESSING = 0.5


@dataclass(frozen=True)
class RawProbe:
    """The probe on one layer; `spread` over folds, the ends of accuracy under permuted labels."""

    layer: int
    accuracy: float | None
    spread: float | None
    chance_low: float | None
    chance_high: float | None


@dataclass(frozen=True)
class LatentProbe:
    """The probe on one SAE's latents."""

    architecture: str
    layer: int
    accuracy: float


@dataclass(frozen=True)
class ProbeProfile:
    """All probes of a report; layers in ascending order."""

    raw: tuple[RawProbe, ...]
    latents: tuple[LatentProbe, ...]

    @property
    def alt(self) -> str:
        """The figure in words."""
        raw = [
            f"layer {probe.layer} {probe.accuracy:.3f}"
            for probe in self.raw
            if probe.accuracy is not None
        ]
        found = [probe.accuracy for probe in self.latents]
        words = [f"Balanced accuracy of probes by layer. Raw activations: {', '.join(raw)}"]
        if found:
            words.append(f"SAEs' latents: {range_text(found, '{:.3f}')}")
        ends = [
            (probe.chance_low, probe.chance_high)
            for probe in self.raw
            if probe.chance_low is not None and probe.chance_high is not None
        ]
        if ends:
            low, high = min(low for low, _ in ends), max(high for _, high in ends)
            words.append(f"chance on raw activations: {low:.3f} to {high:.3f}")
        return "; ".join(words)

    @property
    def _ends(self) -> tuple[float, float]:
        """The lower and upper end of the vertical axis; guessing is always on it."""
        found = [_GUESSING, *(probe.accuracy for probe in self.latents)]
        for probe in self.raw:
            if probe.accuracy is not None:
                spread = probe.spread or 0.0
                found += [probe.accuracy - spread, probe.accuracy + spread]
            found += [end for end in (probe.chance_low, probe.chance_high) if end is not None]
        return max(min(found) - 0.03, 0.0), min(max(found) + 0.03, 1.02)

    def draw(self, canvas: Canvas) -> None:
        """Layers on the horizontal axis; SAEs beside their layer, one column an architecture."""
        layers = [probe.layer for probe in self.raw]
        names = list(dict.fromkeys(probe.architecture for probe in self.latents))
        gap = min((b - a for a, b in itertools.pairwise(layers)), default=1)
        canvas.set_size_inches(max(4.5, min(9.0, 0.9 * len(layers) + 2.5)), 3.4)
        axes = canvas.subplots()
        tidy(axes)
        for i, probe in enumerate(self.raw):
            if probe.chance_low is not None and probe.chance_high is not None:
                axes.bar(
                    probe.layer,
                    probe.chance_high - probe.chance_low,
                    bottom=probe.chance_low,
                    width=0.8 * gap,
                    color=BAND,
                    label="chance, raw" if i == 0 else None,
                )
        known = [probe for probe in self.raw if probe.accuracy is not None]
        axes.errorbar(
            [probe.layer for probe in known],
            [probe.accuracy or 0.0 for probe in known],
            yerr=[probe.spread or 0.0 for probe in known],
            color=INK,
            marker="o",
            markersize=4,
            linewidth=1.2,
            capsize=2,
            label="raw activations",
        )
        for name in names:
            shift = gap * (0.15 + 0.22 * names.index(name) / max(len(names) - 1, 1))
            of_name = [probe for probe in self.latents if probe.architecture == name]
            axes.plot(
                [probe.layer + shift for probe in of_name],
                [probe.accuracy for probe in of_name],
                linestyle="none",
                marker="_",
                markersize=8,
                markeredgewidth=2,
                color=colour_of(name, names),
                label=name,
            )
        axes.set_ylim(*self._ends)
        axes.axhline(_GUESSING, color=FAINT, linewidth=0.8, linestyle="--")
        axes.set_xticks(layers)
        axes.set_xlabel("layer")
        axes.set_ylabel("balanced accuracy")
        columns = legend_columns(len(names) + 2, at_most=4)
        canvas.legend(loc="outside lower center", ncols=columns)


def probe_profile(sources: Sources) -> ProbeProfile | None:
    """The numbers of the figure; None where the report has no tables or no probe was fitted.

    Raises:
        MissingMetric: the tables lack a probe.
    """
    tables, specs = sources.tables, sources.loaded.saes
    if tables is None:
        return None
    raw = []
    for layer in sorted({spec.layer for spec in specs}):
        accuracy = metric_of_layer(tables, layer, ACCURACY)
        chance = metric_of_layer(tables, layer, CHANCE)
        raw.append(RawProbe(layer, accuracy.value, accuracy.spread, chance.low, chance.high))
    latents = tuple(
        LatentProbe(facts_of(sources.loaded.manifest, spec).label, spec.layer, value)
        for spec in specs
        if (value := metric_of(tables, spec.sae_id, ACCURACY).value) is not None
    )
    if not latents and all(probe.accuracy is None for probe in raw):
        return None
    return ProbeProfile(tuple(raw), latents)
