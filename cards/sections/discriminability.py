"""The card's section on single latents: the largest Cohen's d of each SAE, beside chance."""

from __future__ import annotations

from dataclasses import dataclass

from cards import numbers
from cards.escaping import Markdown
from cards.sections.detection import metric_of
from cards.sections.metrics import Metric
from cards.sections.table_cells import (
    SIGNIFICANCE,
    against_chance,
    is_found,
    p_of,
    plain,
    sample_of,
)
from manifests.matrix import SaeSpec
from validators.metrics.conventions import LARGE_D
from validators.report import Tables

D_MAX = Metric("d_max", "train", numbers.effect_size)
D_MAX_CHANCE = Metric("d_max_chance", "train", numbers.effect_size)
D_MAX_HELD_OUT = Metric("d_max_held_out", "held_out", numbers.effect_size)
D_MAX_HELD_OUT_CHANCE = Metric("d_max_held_out_chance", "held_out", numbers.effect_size)
D_OF_TRAIN_BEST = Metric("d_of_train_best_on_held_out", "held_out", numbers.effect_size)


def _whole(value: float) -> Markdown:
    return numbers.count(round(value))


D_OVER_1 = Metric("d_over_1", "train", _whole)
D_OVER_1_HELD_OUT = Metric("d_over_1_held_out", "held_out", _whole)


@dataclass(frozen=True)
class DiscriminabilityRow:
    """One SAE; `chosen_on_held_out` is the signed d of the latent with the largest d of train."""

    sae_id: str
    n_train: Markdown
    d_max: Markdown
    d_max_p: Markdown
    n_held_out: Markdown
    d_max_held_out: Markdown
    d_max_held_out_p: Markdown
    chosen_on_held_out: Markdown
    chosen_p: Markdown
    n_large: Markdown
    n_large_held_out: Markdown


@dataclass(frozen=True)
class Discriminability:
    """All SAEs in the manifest's order; `above_chance` counts p-values below `significance`."""

    rows: tuple[DiscriminabilityRow, ...]
    large_d: Markdown
    significance: Markdown
    n_above_chance: int
    n_above_chance_held_out: int


def discriminability(tables: Tables, specs: tuple[SaeSpec, ...]) -> Discriminability:
    """The effect sizes of a report.

    Raises:
        MissingMetric: the tables lack a number that the card prints, or have it of another split.
    """

    def n_found(metric: Metric) -> int:
        return sum(is_found(metric_of(tables, spec.sae_id, metric)) is True for spec in specs)

    return Discriminability(
        rows=tuple(_row(tables, spec.sae_id) for spec in specs),
        large_d=numbers.setting(LARGE_D),
        significance=numbers.setting(SIGNIFICANCE),
        n_above_chance=n_found(D_MAX),
        n_above_chance_held_out=n_found(D_MAX_HELD_OUT),
    )


def _row(tables: Tables, sae_id: str) -> DiscriminabilityRow:
    train, held_out = metric_of(tables, sae_id, D_MAX), metric_of(tables, sae_id, D_MAX_HELD_OUT)

    chosen = metric_of(tables, sae_id, D_OF_TRAIN_BEST)

    def cell(metric: Metric) -> Markdown:
        return plain(metric_of(tables, sae_id, metric), metric.written)

    return DiscriminabilityRow(
        sae_id=sae_id,
        n_train=sample_of(train),
        d_max=against_chance(train, metric_of(tables, sae_id, D_MAX_CHANCE), D_MAX.written),
        d_max_p=p_of(train),
        n_held_out=sample_of(held_out),
        d_max_held_out=against_chance(
            held_out, metric_of(tables, sae_id, D_MAX_HELD_OUT_CHANCE), D_MAX_HELD_OUT.written
        ),
        d_max_held_out_p=p_of(held_out),
        chosen_on_held_out=plain(chosen, D_OF_TRAIN_BEST.written),
        chosen_p=p_of(chosen),
        n_large=cell(D_OVER_1),
        n_large_held_out=cell(D_OVER_1_HELD_OUT),
    )
