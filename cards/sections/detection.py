"""The card's section on detection: what probes tell from raw activations and from latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cards import numbers
from cards.escaping import Markdown
from cards.sections.metrics import Metric, one_of
from cards.sections.table_cells import (
    SIGNIFICANCE,
    chance_range,
    is_found,
    p_of,
    plain,
    sample_of,
    signed_with_interval,
    with_spread,
)
from cards.sections.table_sources import MADE_BY
from manifests.matrix import SaeSpec
from validators.report import Measurement, Tables

ACCURACY = Metric("probe_balanced_accuracy", None, numbers.fraction)
AUROC = Metric("probe_auroc", None, numbers.fraction)
CHANCE = Metric("probe_chance", None, numbers.fraction)
MAJORITY = Metric("majority_share", None, numbers.share)
BEATS_LAYER = Metric("beats_layer", None, numbers.fraction)
BEATS_PEAK = Metric("beats_peak", None, numbers.fraction)


@dataclass(frozen=True)
class ProbeCells:
    """One probe: `n` completions, accuracy and AUROC with the spread over folds, chance and p."""

    n: Markdown
    accuracy: Markdown
    auroc: Markdown
    chance: Markdown
    p_value: Markdown


@dataclass(frozen=True)
class LayerProbe:
    """The probe on one layer's raw activations; the peak is where its AUROC is highest."""

    layer: int
    is_peak: bool
    probe: ProbeCells
    majority_share: Markdown


@dataclass(frozen=True)
class SaeProbe:
    """The probe on one SAE's latents, and its differences to two raw probes, with adjusted p."""

    sae_id: str
    probe: ProbeCells
    above_layer: Markdown
    above_layer_p: Markdown
    above_peak: Markdown
    above_peak_p: Markdown


@dataclass(frozen=True)
class Against:
    """Which SAEs' probes are above a raw probe, and which could not be compared with it."""

    above: tuple[str, ...]
    not_compared: tuple[str, ...]


@dataclass(frozen=True)
class Detection:
    """All probes; layers in ascending order, SAEs in the manifest's."""

    layers: tuple[LayerProbe, ...]
    saes: tuple[SaeProbe, ...]
    against_layer: Against
    against_peak: Against
    significance: Markdown
    peak_p: Markdown | None


def detection(tables: Tables, specs: tuple[SaeSpec, ...]) -> Detection:
    """The probes of a report.

    Raises:
        MissingMetric: the tables lack a number that the card prints.
    """
    return Detection(
        layers=tuple(_layer(tables, layer) for layer in sorted({spec.layer for spec in specs})),
        saes=tuple(_sae(tables, spec.sae_id) for spec in specs),
        against_layer=_against(tables, specs, BEATS_LAYER),
        against_peak=_against(tables, specs, BEATS_PEAK),
        significance=numbers.setting(SIGNIFICANCE),
        peak_p=None if tables.peak is None else p_of(tables.peak),
    )


def metric_of(tables: Tables, sae_id: str, metric: Metric) -> Measurement:
    """One measurement of an SAE's tables.

    Raises:
        MissingMetric: the tables lack it.
    """
    metrics = tables.saes[sae_id].metrics
    return one_of(metrics, metric, whose=f"the SAE {sae_id}", made_by=MADE_BY)


def metric_of_layer(tables: Tables, layer: int, metric: Metric) -> Measurement:
    """One measurement of a layer's raw probe.

    Raises:
        MissingMetric: the tables lack it.
    """
    metrics = tables.layers[str(layer)]
    return one_of(metrics, metric, whose=f"the layer {layer}", made_by=MADE_BY)


def _layer(tables: Tables, layer: int) -> LayerProbe:
    return LayerProbe(
        layer=layer,
        is_peak=tables.peak_layer == str(layer),
        probe=_probe(tables.layers[str(layer)], f"the layer {layer}"),
        majority_share=plain(metric_of_layer(tables, layer, MAJORITY), MAJORITY.written),
    )


def _sae(tables: Tables, sae_id: str) -> SaeProbe:
    layer = metric_of(tables, sae_id, BEATS_LAYER)
    peak = metric_of(tables, sae_id, BEATS_PEAK)
    return SaeProbe(
        sae_id=sae_id,
        probe=_probe(tables.saes[sae_id].metrics, f"the SAE {sae_id}"),
        above_layer=signed_with_interval(layer, BEATS_LAYER.written),
        above_layer_p=p_of(layer),
        above_peak=signed_with_interval(peak, BEATS_PEAK.written),
        above_peak_p=p_of(peak),
    )


def _probe(metrics: Mapping[str, Measurement], whose: str) -> ProbeCells:
    accuracy = one_of(metrics, ACCURACY, whose=whose, made_by=MADE_BY)
    auroc = one_of(metrics, AUROC, whose=whose, made_by=MADE_BY)
    chance = one_of(metrics, CHANCE, whose=whose, made_by=MADE_BY)
    return ProbeCells(
        n=sample_of(accuracy),
        accuracy=with_spread(accuracy, ACCURACY.written),
        auroc=with_spread(auroc, AUROC.written),
        chance=chance_range(chance, CHANCE.written),
        p_value=p_of(auroc),
    )


def _against(tables: Tables, specs: tuple[SaeSpec, ...], metric: Metric) -> Against:
    found = {spec.sae_id: is_found(metric_of(tables, spec.sae_id, metric)) for spec in specs}
    return Against(
        above=tuple(sae_id for sae_id, is_above in found.items() if is_above),
        not_compared=tuple(sae_id for sae_id, is_above in found.items() if is_above is None),
    )
