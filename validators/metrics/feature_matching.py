"""Whether SAEs trained again from other seeds have the same latents, matched by their decoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.effect_size import cohens_d
from validators.metrics.stability import (
    MAX_VARIATION,
    MIN_OVERLAP,
    N_TOP,
    StabilityVerdict,
    stability_verdict,
    top_latents,
)
from validators.metrics.undefined import UndefinedMetric

Floats = NDArray[np.floating[Any]]

MIN_COSINE = 0.7
# Rows compared with all rows at most, spread evenly, as a product of all takes minutes.
MAX_ROWS = 1024


@dataclass(frozen=True)
class MatchedFeatures:
    """Decoder directions of one SAE, a, found again in another, b.

    Attributes:
        best: the latent of b with the highest cosine, for each top latent of a.
        best_cosines: those cosines.
        n_matched: pairs of a top latent of a and a top latent of b, one to one, whose cosine is at
            least `min_cosine`; as many as there can be.
        top_overlap: `n_matched` over the number of top latents.
        found_share: share of a's top latents that have any latent of b at `min_cosine`.
        index_overlap: share of top latents with the same number in both. Meaningless across seeds,
            since a latent's number is; stated beside for comparison with cards that print it.
        mean_max_cosine: mean over a's latents of the highest cosine with any latent of b (MMCS).
        n_compared: how many of a's latents that mean is over.
        highest_by_chance: median of the highest cosine of a direction with as many random ones.
    """

    best: tuple[int, ...]
    best_cosines: tuple[float, ...]
    n_matched: int
    top_overlap: float
    found_share: float
    index_overlap: float
    min_cosine: float
    mean_max_cosine: float
    n_compared: int
    highest_by_chance: float


@dataclass(frozen=True)
class RetrainedStability:
    """SAEs that differ in the seed of their training alone, on the same vectors.

    Attributes:
        d_max: largest |d| of each SAE.
        d_max_mean: mean of them.
        d_max_sd: their standard deviation, with n - 1.
        top: the top latents of each SAE, falling by |d|.
        pairs: which two SAEs `matches` compares, the first being a.
        matches: one for each pair.
        top_overlap: mean over the pairs; the same for `found_share`, `index_overlap` and
            `mean_max_cosine`.
        verdict: stable or unstable, by which number.
    """

    d_max: tuple[float, ...]
    d_max_mean: float
    d_max_sd: float
    n_top: int
    top: tuple[tuple[int, ...], ...]
    pairs: tuple[tuple[int, int], ...]
    matches: tuple[MatchedFeatures, ...]
    top_overlap: float
    found_share: float
    index_overlap: float
    mean_max_cosine: float
    verdict: StabilityVerdict


def matched_features(
    W_dec_a: Floats,
    W_dec_b: Floats,
    *,
    top_a: Sequence[int],
    top_b: Sequence[int],
    alive_a: NDArray[np.bool_] | None = None,
    alive_b: NDArray[np.bool_] | None = None,
    min_cosine: float = MIN_COSINE,
) -> MatchedFeatures:
    """Match latents of two SAEs by the cosine of their decoder rows.

    Args:
        W_dec_a: [d_sae_a, d_in].
        W_dec_b: [d_sae_b, d_in].
        top_a: top latents of a.
        top_b: top latents of b, as many.
        alive_a: [d_sae_a], the latents that count; all of them if None. Dead latents keep the
            direction they were started with, so they match nothing.
        alive_b: [d_sae_b], the same for b.
        min_cosine: from where on two directions count as the same latent.

    Raises:
        UndefinedMetric: a row is not finite, no row is left, or a top latent is dead or has a zero
            row.

    Source: MMCS: Sharkey et al. 2022, "Taking features out of superposition with sparse
    autoencoders"; one to one: Paulo & Belrose 2025, arXiv:2501.16615.
    """
    from scipy.optimize import linear_sum_assignment

    assert len(top_a) == len(top_b), "top sets of one size"
    numbers_a, units_a = _directions(W_dec_a, alive_a, top_a)
    numbers_b, units_b = _directions(W_dec_b, alive_b, top_b)
    at_a, at_b = np.searchsorted(numbers_a, top_a), np.searchsorted(numbers_b, top_b)
    to_all = units_a[at_a] @ units_b.T
    best = to_all.argmax(axis=1)
    best_cosines = to_all[np.arange(len(best)), best]
    to_top = to_all[:, at_b].astype(np.float64)
    # One pair more outweighs any gain in cosines: all of them together stay below 1.
    worth = np.where(to_top >= min_cosine, 1 + to_top / (len(top_a) + 1), 0)
    n_matched = int((worth[linear_sum_assignment(worth, maximize=True)] > 0).sum())
    rows = np.unique(np.linspace(0, len(units_a) - 1, min(len(units_a), MAX_ROWS)).astype(int))
    highest = (units_a[rows] @ units_b.T).max(axis=1)
    return MatchedFeatures(
        best=tuple(numbers_b[best].tolist()),
        best_cosines=tuple(float(cosine) for cosine in best_cosines),
        n_matched=n_matched,
        top_overlap=n_matched / len(top_a),
        found_share=float((best_cosines >= min_cosine).mean()),
        index_overlap=len(set(top_a) & set(top_b)) / len(top_a),
        min_cosine=min_cosine,
        mean_max_cosine=float(highest.mean(dtype=np.float64)),
        n_compared=len(rows),
        highest_by_chance=highest_cosine_by_chance(len(units_b), units_b.shape[1]),
    )


def highest_cosine_by_chance(n: int, d_in: int) -> float:
    """Median of the highest of n cosines with random directions in d_in dimensions, n at least 2.

    The square of such a cosine is distributed as Beta(1/2, (d_in - 1) / 2), with either sign. The
    rows of a trained decoder are less spread out than that, so this is a lower limit.
    """
    from scipy.stats import beta

    above = 1 - 0.5 ** (1 / n)
    return float(np.sqrt(beta.isf(2 * above, 0.5, (d_in - 1) / 2)))


def retrained_stability(
    latents: Sequence[Floats],
    decoders: Sequence[Floats],
    y: NDArray[np.bool_],
    *,
    n_top: int = N_TOP,
    min_cosine: float = MIN_COSINE,
    max_variation: float = MAX_VARIATION,
    min_overlap: float = MIN_OVERLAP,
) -> RetrainedStability:
    """Compare SAEs of one recipe, trained from different seeds, on the same vectors.

    All SAEs see the same vectors and labels, so this says whether the training finds the same
    latents, and nothing about whether their effect is above chance or holds on other vectors.

    Args:
        latents: of each SAE [n, d_sae], of the same vectors.
        decoders: W_dec of each SAE [d_sae, d_in].
        y: labels [n].
        n_top: size of the sets of top latents.
        min_cosine: as `matched_features` takes it.
        max_variation: as `stability_verdict` takes it.
        min_overlap: likewise; the share is that of latents matched by decoder cosine.

    Raises:
        UndefinedMetric: fewer than 2 SAEs, or as `cohens_d`, `top_latents` and `matched_features`.
    """
    if len(latents) < 2:
        raise UndefinedMetric("stability across seeds needs at least 2 SAEs")
    effects = [cohens_d(one, y) for one in latents]
    tops = [tuple(top_latents(d, n_top).tolist()) for d in effects]
    alive = [(one != 0).any(axis=0) for one in latents]
    pairs = tuple(combinations(range(len(latents)), 2))
    matches = tuple(
        matched_features(
            decoders[a],
            decoders[b],
            top_a=tops[a],
            top_b=tops[b],
            alive_a=alive[a],
            alive_b=alive[b],
            min_cosine=min_cosine,
        )
        for a, b in pairs
    )
    d_max = np.array([abs(d[top[0]]) for d, top in zip(effects, tops, strict=True)])
    overlap = float(np.mean([one.top_overlap for one in matches]))
    # Of random sets of matched latents, n_top of all would agree.
    drawn = float(np.mean([n_top / (~np.isnan(effects[b])).sum() for _, b in pairs]))
    return RetrainedStability(
        d_max=tuple(d_max.tolist()),
        d_max_mean=float(d_max.mean()),
        d_max_sd=float(d_max.std(ddof=1)),
        n_top=n_top,
        top=tuple(tops),
        pairs=pairs,
        matches=matches,
        top_overlap=overlap,
        found_share=float(np.mean([one.found_share for one in matches])),
        index_overlap=float(np.mean([one.index_overlap for one in matches])),
        mean_max_cosine=float(np.mean([one.mean_max_cosine for one in matches])),
        verdict=stability_verdict(
            d_max=d_max,
            top_overlap=overlap,
            overlap_by_chance=drawn,
            max_variation=max_variation,
            min_overlap=min_overlap,
        ),
    )


def _directions(
    W_dec: Floats, alive: NDArray[np.bool_] | None, top: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Numbers of the latents that count, rising, and their rows at length 1."""
    rows = np.asarray(W_dec, np.float32)
    norms = np.linalg.norm(rows, axis=1)
    if not np.isfinite(norms).all():
        raise UndefinedMetric("a decoder row is not finite")
    counts = norms > 0
    if alive is not None:
        counts &= alive
    numbers = np.flatnonzero(counts)
    missing = sorted(set(top) - set(numbers.tolist()))
    if missing or not len(numbers):
        raise UndefinedMetric(f"latents without a direction or dead: {missing or 'all'}")
    return numbers, rows[numbers] / norms[numbers, None]
