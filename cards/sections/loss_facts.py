"""What the SAEs do to the base model's predictions, where the report has measured it."""

from __future__ import annotations

from dataclasses import dataclass

from cards import numbers
from cards.escaping import Markdown
from cards.sections.metrics import Metric, one_of, optional_cell
from cards.sections.table_cells import DASH
from cards.sources import Sources

CE_RECOVERED = Metric("ce_recovered", "held_out", numbers.fraction)
CE_RECOVERED_MEAN = Metric("ce_recovered_mean", "held_out", numbers.fraction)
CE_INCREASE = Metric("ce_increase", "held_out", numbers.significant)
KL = Metric("kl", "held_out", numbers.significant)
KL_RECOVERED = Metric("kl_recovered", "held_out", numbers.fraction)

LOSS = (CE_RECOVERED, CE_RECOVERED_MEAN, CE_INCREASE, KL, KL_RECOVERED)


@dataclass(frozen=True)
class LossRow:
    """One SAE: losses over the `n` tokens that were predicted with it in the base model."""

    sae_id: str
    n: Markdown
    ce_recovered: Markdown
    ce_recovered_mean: Markdown
    ce_increase: Markdown
    kl: Markdown
    kl_recovered: Markdown


@dataclass(frozen=True)
class LossFacts:
    """All SAEs in the manifest's order; where no SAE has a loss, the reasons and no rows."""

    rows: tuple[LossRow, ...]
    reasons: tuple[str, ...]


def loss_facts(sources: Sources) -> LossFacts | None:
    """The losses; None where there is no report, or it has none of these metrics.

    Raises:
        MissingMetric: one comes from another split.
    """
    if not sources.has_measurements:
        return None
    saes = sources.measurements.saes
    found = [
        one_of(saes[spec.sae_id], metric, whose=f"the SAE {spec.sae_id}")
        for spec in sources.loaded.saes
        for metric in LOSS
        if metric.name in saes[spec.sae_id]
    ]
    if not found:
        return None
    if all(each.value is None for each in found):
        return LossFacts((), tuple(dict.fromkeys(each.reason or "unknown" for each in found)))
    return LossFacts(tuple(_row(sources, spec.sae_id) for spec in sources.loaded.saes), ())


def _row(sources: Sources, sae_id: str) -> LossRow:
    metrics = sources.measurements.saes[sae_id]
    counted = [metrics[metric.name].n for metric in LOSS if metric.name in metrics]
    n = counted[0] if counted else None

    def cell(metric: Metric) -> Markdown:
        return optional_cell(metrics, metric, whose=f"the SAE {sae_id}", n_stated=n) or DASH

    return LossRow(
        sae_id=sae_id,
        n=DASH if n is None else numbers.count(n),
        ce_recovered=cell(CE_RECOVERED),
        ce_recovered_mean=cell(CE_RECOVERED_MEAN),
        ce_increase=cell(CE_INCREASE),
        kl=cell(KL),
        kl_recovered=cell(KL_RECOVERED),
    )
