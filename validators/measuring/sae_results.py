"""Everything that is computed of one SAE on its own, from latents of the labelled completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manifests.measure import Stability
from validators.measuring.labelled import Labelled
from validators.measuring.settings import Settings
from validators.metrics.effect_size import LargestEffect, effect_of_chosen, largest_effect
from validators.metrics.feature_matching import retrained_stability
from validators.metrics.stability import StabilityVerdict, split_stability
from validators.metrics.top_completions import TopLatent, top_completions
from validators.metrics.undefined import UndefinedMetric
from validators.report import Example, Feature, Measurement

Floats = NDArray[np.float32]
_LATENTS = "latents"
_UNDEFINED_EFFECT = ("d_max", "d_max_chance", "d_over_1")


@dataclass(frozen=True)
class Effects:
    """Effect sizes as measurements, and which latent is the top one on the training vectors."""

    metrics: dict[str, Measurement]
    top_latent: int | None


def effects(latents: Floats, rows: Labelled, settings: Settings) -> Effects:
    """Cohen's d of the latents [n, d_sae], on training and on held-out vectors, with its null."""
    train, held_out = ~rows.is_held_out, rows.is_held_out
    metrics: dict[str, Measurement] = {}
    top: int | None = None
    try:
        found = _largest(latents, train, rows, settings)
    except UndefinedMetric as error:
        metrics |= _undefined(_UNDEFINED_EFFECT, int(train.sum()), error)
    else:
        metrics |= _of_effect(found, "")
        top = found.latent
    try:
        metrics |= _of_effect(_largest(latents, held_out, rows, settings), "_held_out")
    except UndefinedMetric as error:
        names = ("d_max_held_out", "d_max_held_out_chance", "d_over_1_held_out")
        metrics |= _undefined(names, int(held_out.sum()), error)
    metrics["d_of_train_best_on_held_out"] = _chosen(latents, top, held_out, rows, settings)
    return Effects(metrics, top)


def split_metrics(
    latents: Floats, rows: Labelled, settings: Settings
) -> tuple[dict[str, Measurement], dict[str, str]]:
    """How d_max and the top latents hold on halves of the vectors; metrics and verdict."""
    wanted = settings.measure.stability
    try:
        found = split_stability(
            latents,
            rows.y,
            rows.groups,
            seed=settings.measure.seed,
            n_splits=wanted.splits,
            n_top=wanted.top,
            max_variation=wanted.max_variation,
            min_overlap=wanted.min_overlap,
        )
    except UndefinedMetric as error:
        names = ("split_d_max", "split_top_overlap", "split_top_overlap_chance")
        return _undefined(names, 0, error, unit="halves"), {}
    n = 2 * len(found.halves)
    return {
        "split_d_max": Measurement(
            value=found.d_max_mean, n=n, unit="halves", spread=found.d_max_sd
        ),
        "split_top_overlap": Measurement(value=found.top_overlap, n=n, unit="halves"),
        "split_top_overlap_chance": Measurement(value=found.overlap_by_chance, n=n, unit="halves"),
    }, {"stability_splits": _sentence(found.verdict, "over halves of the vectors")}


def seed_metrics(
    latents: Sequence[Floats], decoders: Sequence[Floats], rows: Labelled, wanted: Stability
) -> tuple[dict[str, Measurement], dict[str, str]]:
    """The same over SAEs that were trained from several seeds, the published one first.

    Args:
        latents: of each SAE [n, d_sae].
        decoders: of each SAE [d_sae, d_in].
        rows: the labelled completions.
        wanted: limits and the number of top latents.
    """
    n = len(latents)
    try:
        found = retrained_stability(
            latents,
            decoders,
            rows.y,
            n_top=wanted.top,
            max_variation=wanted.max_variation,
            min_overlap=wanted.min_overlap,
        )
    except UndefinedMetric as error:
        names = ("seeds_d_max", "seeds_top_matched", "seeds_top_by_index", "seeds_mmcs")
        return _undefined(names, n, error, unit="seeds"), {}
    return {
        "seeds_d_max": Measurement(
            value=found.d_max_mean, n=n, unit="seeds", spread=found.d_max_sd
        ),
        "seeds_top_matched": Measurement(value=found.top_overlap, n=n, unit="seeds"),
        "seeds_top_by_index": Measurement(value=found.index_overlap, n=n, unit="seeds"),
        "seeds_mmcs": Measurement(value=found.mean_max_cosine, n=n, unit="seeds"),
    }, {"stability_seeds": _sentence(found.verdict, "over seeds of the training")}


def top_features(latents: Floats, rows: Labelled, settings: Settings) -> tuple[Feature, ...]:
    """The latents with the largest |d| on the training vectors, and what they are largest on."""
    train = np.flatnonzero(~rows.is_held_out)
    try:
        found = top_completions(
            latents[train],
            rows.y[train],
            n_latents=settings.measure.top_features,
            n_rows=settings.measure.examples,
        )
    except UndefinedMetric:
        # `d_max` says why there are none.
        return ()
    return tuple(_feature(one, latents, train, rows, settings) for one in found)


def _feature(
    found: TopLatent,
    latents: Floats,
    train: NDArray[np.int64],
    rows: Labelled,
    settings: Settings,
) -> Feature:
    share = found.positive_of_active
    return Feature(
        latent=found.latent,
        d=Measurement(value=found.d, n=len(train), split="train"),
        d_held_out=_chosen(latents, found.latent, rows.is_held_out, rows, settings),
        active_positive=found.firing_positive.k,
        active_negative=found.firing_negative.k,
        positive_rate=Measurement(
            value=share.value, n=share.n, split="train", low=share.low, high=share.high
        ),
        examples=tuple(
            Example(
                completion_id=rows.rows[train[row]].id,
                label=rows.rows[train[row]].label,
                text=rows.rows[train[row]].completion,
                activation=activation,
            )
            for row, activation in zip(found.top.rows, found.top.activations, strict=True)
        ),
        same_examples_as=found.same_rows_as,
    )


def _largest(
    latents: Floats, part: NDArray[np.bool_], rows: Labelled, settings: Settings
) -> LargestEffect:
    measure = settings.measure
    return largest_effect(
        latents[part],
        rows.y[part],
        rows.groups[part],
        seed=measure.seed,
        n_permutations=measure.permutations,
    )


def _chosen(
    latents: Floats,
    latent: int | None,
    part: NDArray[np.bool_],
    rows: Labelled,
    settings: Settings,
) -> Measurement:
    n = int(part.sum())
    if latent is None:
        reason = "no latent could be chosen on the training vectors"
        return Measurement(value=None, n=n, split="held_out", reason=reason)
    try:
        found = effect_of_chosen(
            latents[part],
            rows.y[part],
            rows.groups[part],
            latent=latent,
            seed=settings.measure.seed,
            n_permutations=settings.measure.permutations,
        )
    except UndefinedMetric as error:
        return Measurement(value=None, n=n, split="held_out", reason=error.what)
    return Measurement(value=found.d, n=n, split="held_out", p_value=found.chance.p_value)


def _of_effect(found: LargestEffect, suffix: str) -> dict[str, Measurement]:
    n, split = found.n_positive + found.n_negative, "held_out" if suffix else "train"
    return {
        f"d_max{suffix}": Measurement(
            value=found.d_max, n=n, split=split, p_value=found.chance.p_value
        ),
        f"d_max{suffix}_chance": Measurement(
            value=found.chance.median,
            n=found.chance.n_permutations,
            split=split,
            unit="permutations",
            low=found.chance.low,
            high=found.chance.high,
        ),
        f"d_over_1{suffix}": Measurement(value=found.n_large, n=n, split=split, unit=_LATENTS),
    }


def _undefined(
    names: Sequence[str], n: int, error: UndefinedMetric, *, unit: str = ""
) -> dict[str, Measurement]:
    return {name: Measurement(value=None, n=n, unit=unit, reason=error.what) for name in names}


def _sentence(verdict: StabilityVerdict, over: str) -> str:
    words = {
        "d_max_variation": "d_max varies by {value:.0%} of its mean (at most {limit:.0%})",
        "top_overlap": "{value:.0%} of the top latents are found again (at least {limit:.0%})",
        "top_overlap_above_chance": "that is not above what chance may give ({limit:.0%})",
    }
    parts = [words[c.name].format(value=c.value, limit=c.limit) for c in verdict.decided_by]
    return f"{verdict.verdict} {over}: {'; '.join(parts)}"
