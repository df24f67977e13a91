"""How active latents are spread over vectors, and how reconstructions point, where measured."""

from __future__ import annotations

from dataclasses import dataclass

from cards import numbers
from cards.escaping import Markdown
from cards.sections.metrics import Metric, optional_cell
from cards.sections.table_cells import DASH
from cards.sources import Sources
from validators.metrics.conventions import DENSE_PERCENT

L0_MEDIAN = Metric("l0_median", "held_out", numbers.mean_count)
L0_P5 = Metric("l0_p5", "held_out", numbers.mean_count)
L0_P95 = Metric("l0_p95", "held_out", numbers.mean_count)
DENSE_FRACTION = Metric("dense_fraction", "held_out", numbers.share)
COSINE = Metric("cosine", "held_out", numbers.fraction)

_METRICS = (L0_MEDIAN, L0_P5, L0_P95, DENSE_FRACTION, COSINE)


@dataclass(frozen=True)
class SparsityRow:
    """One SAE over its `n` held-out vectors; `l0_low` and `l0_high` hold the middle 90%."""

    sae_id: str
    n: Markdown
    l0_low: Markdown
    l0_median: Markdown
    l0_high: Markdown
    dense: Markdown
    cosine: Markdown


@dataclass(frozen=True)
class SparsityFacts:
    """All SAEs in the manifest's order; a column that no SAE has is left out."""

    rows: tuple[SparsityRow, ...]
    has_l0: bool
    has_dense: bool
    has_cosine: bool
    low: Markdown
    high: Markdown
    dense_above: Markdown


def sparsity_facts(sources: Sources) -> SparsityFacts | None:
    """The rows; None where there is no report, or it has none of these metrics.

    Raises:
        MissingMetric: one comes from another split.
    """
    if not sources.has_measurements:
        return None
    names = {name for metrics in sources.measurements.saes.values() for name in metrics}
    if not names & {metric.name for metric in _METRICS}:
        return None
    return SparsityFacts(
        rows=tuple(_row(sources, spec.sae_id) for spec in sources.loaded.saes),
        has_l0=bool(names & {L0_MEDIAN.name, L0_P5.name, L0_P95.name}),
        has_dense=DENSE_FRACTION.name in names,
        has_cosine=COSINE.name in names,
        low=Markdown("5%"),
        high=Markdown("95%"),
        dense_above=Markdown(f"{DENSE_PERCENT}%"),
    )


def _row(sources: Sources, sae_id: str) -> SparsityRow:
    metrics = sources.measurements.saes[sae_id]
    n = max((metrics[each.name].n for each in _METRICS if each.name in metrics), default=None)

    def cell(metric: Metric) -> Markdown:
        return optional_cell(metrics, metric, whose=f"the SAE {sae_id}", n_stated=n) or DASH

    return SparsityRow(
        sae_id=sae_id,
        n=DASH if n is None else numbers.count(n),
        l0_low=cell(L0_P5),
        l0_median=cell(L0_MEDIAN),
        l0_high=cell(L0_P95),
        dense=cell(DENSE_FRACTION),
        cosine=cell(COSINE),
    )
