"""What `release measure` computed, as the card prints it; a report without it has no such part."""

from __future__ import annotations

from dataclasses import dataclass

from cards import numbers
from cards.escaping import Markdown
from cards.sections.comparison import Comparison, comparison
from cards.sections.detection import Detection, detection
from cards.sections.discriminability import Discriminability, discriminability
from cards.sections.metrics import CONFIDENCE
from cards.sections.stability import Stability, stability
from cards.sections.steering import Steering, steering
from cards.sections.top_features import TopFeatures, top_features
from cards.sources import Sources
from manifests.measure import Measure


@dataclass(frozen=True)
class TablesFacts:
    """The section `tables` of a report, and the manifest's settings that it was made with.

    `labels` are the labelled completions by label; `environment` is what differs from that of the
    measurements.
    """

    measure: Measure
    labels: tuple[tuple[str, Markdown], ...]
    n_groups: int
    confidence: Markdown
    environment: tuple[tuple[str, str], ...]
    detection: Detection
    discriminability: Discriminability
    top_features: TopFeatures | None
    stability: Stability
    steering: Steering | None
    comparison: Comparison


def tables_facts(sources: Sources) -> TablesFacts | None:
    """The facts; None where the report has no such section.

    Raises:
        MissingMetric: the section lacks a number that the card prints.
    """
    tables, specs = sources.tables, sources.loaded.saes
    if tables is None:
        return None
    measure = sources.loaded.manifest.measure
    others = sources.measurements.environment if sources.has_measurements else {}
    return TablesFacts(
        measure=measure,
        labels=tuple((name, numbers.count(n)) for name, n in sorted(tables.labels.items())),
        n_groups=tables.n_groups,
        confidence=CONFIDENCE,
        environment=tuple(
            (name, value)
            for name, value in sorted(tables.environment.items())
            if value.strip() and others.get(name) != value
        ),
        detection=detection(tables, specs),
        discriminability=discriminability(tables, specs),
        top_features=top_features(tables, specs),
        stability=stability(tables, specs),
        steering=steering(tables, measure),
        comparison=comparison(tables, specs),
    )
