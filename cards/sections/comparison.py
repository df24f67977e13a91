"""The card's comparisons: raw activations with SAEs, and SAEs that differ in one thing."""

from __future__ import annotations

from dataclasses import dataclass

from cards import numbers
from cards.escaping import Markdown
from cards.sections.detection import ACCURACY, BEATS_LAYER, metric_of, metric_of_layer
from cards.sections.metrics import Metric, one_of
from cards.sections.table_cells import (
    is_found,
    plain,
    sample_of,
    signed_with_interval,
    with_spread,
)
from cards.sections.table_sources import MADE_BY
from manifests.matrix import SaeSpec
from validators.metrics.conventions import L0_TOLERANCE
from validators.report import Contrast, Tables

EXPLAINED_VARIANCE = Metric("explained_variance", "held_out", numbers.explained_variance)
L0 = Metric("l0", "held_out", numbers.mean_count)
COSINE = Metric("cosine", "held_out", numbers.fraction)
KINDS = ("condition", "architecture", "variant")


@dataclass(frozen=True)
class RawRow:
    """One layer: the raw probe's balanced accuracy, and the range of that of its SAEs."""

    layer: int
    n: Markdown
    raw: Markdown
    n_saes: int
    lowest: Markdown
    highest: Markdown
    n_above: int


@dataclass(frozen=True)
class ContrastRow:
    """Two SAEs: what the second has more than the first, on the same `n` vectors."""

    first: str
    second: str
    n: Markdown
    explained_variance: Markdown
    l0: Markdown
    cosine: Markdown
    differs_in_l0: bool


@dataclass(frozen=True)
class ContrastTable:
    """The pairs that differ in one axis of the manifest's matrix alone."""

    kind: str
    rows: tuple[ContrastRow, ...]
    n_differ_in_l0: int


@dataclass(frozen=True)
class Comparison:
    """Raw activations beside SAEs by layer; pairs of SAEs by what they differ in."""

    raw: tuple[RawRow, ...]
    contrasts: tuple[ContrastTable, ...]
    l0_tolerance: Markdown


def comparison(tables: Tables, specs: tuple[SaeSpec, ...]) -> Comparison:
    """The comparisons of a report; pairs in the report's order.

    Raises:
        MissingMetric: the tables lack a number that the card prints.
    """
    pairs = {kind: [each for each in tables.contrasts if each.kind == kind] for kind in KINDS}
    return Comparison(
        raw=tuple(_raw(tables, specs, layer) for layer in sorted({spec.layer for spec in specs})),
        contrasts=tuple(
            ContrastTable(
                kind=kind,
                rows=tuple(_contrast(each) for each in of_kind),
                n_differ_in_l0=sum(each.differs_in_l0 for each in of_kind),
            )
            for kind, of_kind in pairs.items()
            if of_kind
        ),
        l0_tolerance=numbers.share(L0_TOLERANCE),
    )


def _raw(tables: Tables, specs: tuple[SaeSpec, ...], layer: int) -> RawRow:
    raw = metric_of_layer(tables, layer, ACCURACY)
    sae_ids = [spec.sae_id for spec in specs if spec.layer == layer]
    found = [metric_of(tables, sae_id, ACCURACY) for sae_id in sae_ids]
    known = sorted((each for each in found if each.value is not None), key=lambda m: m.value or 0.0)
    return RawRow(
        layer=layer,
        n=sample_of(raw),
        raw=with_spread(raw, ACCURACY.written),
        n_saes=len(sae_ids),
        lowest=plain((known or found)[0], ACCURACY.written),
        highest=plain((known or found)[-1], ACCURACY.written),
        n_above=sum(is_found(metric_of(tables, each, BEATS_LAYER)) is True for each in sae_ids),
    )


def _contrast(contrast: Contrast) -> ContrastRow:
    whose = f"the pair {contrast.first} and {contrast.second}"
    explained = one_of(contrast.differences, EXPLAINED_VARIANCE, whose=whose, made_by=MADE_BY)

    def cell(metric: Metric) -> Markdown:
        found = one_of(contrast.differences, metric, whose=whose, made_by=MADE_BY)
        text = signed_with_interval(found, metric.written)
        if found.value is not None and found.n != explained.n:
            return Markdown(f"{text}, n = {numbers.count(found.n)}")
        return text

    return ContrastRow(
        first=contrast.first,
        second=contrast.second,
        n=sample_of(explained),
        explained_variance=cell(EXPLAINED_VARIANCE),
        l0=cell(L0),
        cosine=cell(COSINE),
        differs_in_l0=contrast.differs_in_l0,
    )
