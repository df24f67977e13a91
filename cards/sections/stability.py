"""The card's section on stability: whether d and the top latents come back."""

from __future__ import annotations

from dataclasses import dataclass

from cards import numbers
from cards.escaping import Markdown
from cards.sections.detection import metric_of
from cards.sections.metrics import Metric
from cards.sections.table_cells import plain, sample_of, with_spread
from manifests.matrix import SaeSpec
from validators.report import Tables

SPLIT_D_MAX = Metric("split_d_max", None, numbers.effect_size)
SPLIT_OVERLAP = Metric("split_top_overlap", None, numbers.share)
SPLIT_OVERLAP_CHANCE = Metric("split_top_overlap_chance", None, numbers.share)
SEEDS_D_MAX = Metric("seeds_d_max", None, numbers.effect_size)
SEEDS_MATCHED = Metric("seeds_top_matched", None, numbers.share)
SEEDS_BY_INDEX = Metric("seeds_top_by_index", None, numbers.share)
SEEDS_MMCS = Metric("seeds_mmcs", None, numbers.fraction)

SEEDS = (SEEDS_D_MAX, SEEDS_MATCHED, SEEDS_BY_INDEX, SEEDS_MMCS)


@dataclass(frozen=True)
class SplitRow:
    """One SAE on re-sampled halves of the vectors; `verdict` is empty where none was given."""

    sae_id: str
    n: Markdown
    d_max: Markdown
    overlap: Markdown
    overlap_by_chance: Markdown
    verdict: str


@dataclass(frozen=True)
class SeedRow:
    """One SAE beside those trained again from other seeds."""

    sae_id: str
    n: Markdown
    d_max: Markdown
    matched: Markdown
    by_index: Markdown
    mmcs: Markdown
    verdict: str


@dataclass(frozen=True)
class Stability:
    """All SAEs of the first table; those that were trained again of the second."""

    splits: tuple[SplitRow, ...]
    seeds: tuple[SeedRow, ...]


def stability(tables: Tables, specs: tuple[SaeSpec, ...]) -> Stability:
    """The stability of a report.

    Raises:
        MissingMetric: the tables lack a number that the card prints.
    """
    return Stability(
        splits=tuple(_split_row(tables, spec.sae_id) for spec in specs),
        seeds=tuple(
            _seed_row(tables, spec.sae_id) for spec in specs if _has_seeds(tables, spec.sae_id)
        ),
    )


def retrained(tables: Tables | None, specs: tuple[SaeSpec, ...]) -> tuple[str, ...]:
    """The SAEs that were trained again from other seeds, with a number of what came of it."""
    if tables is None:
        return ()
    return tuple(
        spec.sae_id
        for spec in specs
        if any(
            name.startswith("seeds_") and found.value is not None
            for name, found in tables.saes[spec.sae_id].metrics.items()
        )
    )


def _has_seeds(tables: Tables, sae_id: str) -> bool:
    return any(metric.name in tables.saes[sae_id].metrics for metric in SEEDS)


def _cell(tables: Tables, sae_id: str, metric: Metric) -> Markdown:
    return plain(metric_of(tables, sae_id, metric), metric.written)


def _split_row(tables: Tables, sae_id: str) -> SplitRow:
    d_max = metric_of(tables, sae_id, SPLIT_D_MAX)
    return SplitRow(
        sae_id=sae_id,
        n=sample_of(d_max),
        d_max=with_spread(d_max, SPLIT_D_MAX.written),
        overlap=_cell(tables, sae_id, SPLIT_OVERLAP),
        overlap_by_chance=_cell(tables, sae_id, SPLIT_OVERLAP_CHANCE),
        verdict=tables.saes[sae_id].verdicts.get("stability_splits", "").strip(),
    )


def _seed_row(tables: Tables, sae_id: str) -> SeedRow:
    d_max = metric_of(tables, sae_id, SEEDS_D_MAX)
    return SeedRow(
        sae_id=sae_id,
        n=sample_of(d_max),
        d_max=with_spread(d_max, SEEDS_D_MAX.written),
        matched=_cell(tables, sae_id, SEEDS_MATCHED),
        by_index=_cell(tables, sae_id, SEEDS_BY_INDEX),
        mmcs=_cell(tables, sae_id, SEEDS_MMCS),
        verdict=tables.saes[sae_id].verdicts.get("stability_seeds", "").strip(),
    )
