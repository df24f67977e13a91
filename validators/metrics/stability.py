"""Whether the largest d and the top latents come back on other vectors, and the verdict on that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from validators.metrics.effect_size import MIN_ARRANGEMENTS, cohens_d, permuted_d
from validators.metrics.label_permutations import exchangeable, permuted_labels
from validators.metrics.undefined import UndefinedMetric

Floats = NDArray[np.floating[Any]]

N_SPLITS = 5
N_TOP = 20
MAX_VARIATION = 0.15
MIN_OVERLAP = 0.5
_N_PERMUTATIONS = 1_000


@dataclass(frozen=True)
class Criterion:
    """One number of a verdict against its limit.

    Attributes:
        name: `d_max_variation` (standard deviation over mean, at most the limit), `top_overlap`
            or `top_overlap_above_chance` (share of the top latents, at least or above the limit).
    """

    name: Literal["d_max_variation", "top_overlap", "top_overlap_above_chance"]
    value: float
    limit: float
    is_met: bool


@dataclass(frozen=True)
class StabilityVerdict:
    """Stable where every criterion is met.

    Attributes:
        criteria: all of them, met or not.
    """

    criteria: tuple[Criterion, ...]

    @property
    def verdict(self) -> Literal["stable", "unstable"]:
        """In one word."""
        return "stable" if all(one.is_met for one in self.criteria) else "unstable"

    @property
    def decided_by(self) -> tuple[Criterion, ...]:
        """The criteria that are not met; all of them where the verdict is stable."""
        return tuple(one for one in self.criteria if not one.is_met) or self.criteria


@dataclass(frozen=True)
class Half:
    """One half of the vectors.

    Attributes:
        d_max: largest |d| on it.
        top: the latents with the largest |d|, falling.
        n_latents: latents that have a d on it.
    """

    n_positive: int
    n_negative: int
    d_max: float
    top: tuple[int, ...]
    n_latents: int


@dataclass(frozen=True)
class SplitStability:
    """The same SAE on halves of the vectors.

    Attributes:
        halves: the two halves of every split, which have no vector in common.
        d_max_mean: mean of d_max over all halves.
        d_max_sd: its standard deviation over all halves, with n - 1; halves of different splits
            share vectors, so it is no standard error.
        n_top: size of each set of top latents.
        top_overlap: share of a half's top latents that are among the other half's, mean over the
            splits.
        top_jaccard: shared over all latents of the two sets, mean over the splits.
        overlap_if_drawn: expected share if both sets were drawn from all latents that have a d on
            both halves: the hypergeometric mean.
        overlap_by_chance: mean share under permuted labels. It differs where some latents get on
            top more easily than others whatever the labels are, as common ones do over rare ones.
        overlap_by_chance_high: 97.5% of the permutations of a single split lie at or below.
        verdict: stable or unstable, by which number.
    """

    halves: tuple[tuple[Half, Half], ...]
    d_max_mean: float
    d_max_sd: float
    n_top: int
    top_overlap: float
    top_jaccard: float
    overlap_if_drawn: float
    overlap_by_chance: float
    overlap_by_chance_high: float
    verdict: StabilityVerdict


def stability_verdict(
    *,
    d_max: Floats,
    top_overlap: float,
    overlap_by_chance: float,
    max_variation: float = MAX_VARIATION,
    min_overlap: float = MIN_OVERLAP,
) -> StabilityVerdict:
    """Judge d_max and the overlap of the top latents over repetitions.

    d_max alone proves nothing: under permuted labels it is as steady as under true ones, since the
    largest of many numbers hardly varies. So the latents behind it have to come back as well, and
    more of them than by chance.

    Args:
        d_max: [repetitions], at least 2.
        top_overlap: mean share of the top latents that two repetitions have in common.
        overlap_by_chance: what it has to lie above.
        max_variation: the largest `sd(d_max) / mean(d_max)`, with n - 1, that counts as stable.
        min_overlap: the smallest overlap that does.
    """
    variation = float(d_max.std(ddof=1) / d_max.mean())
    return StabilityVerdict(
        (
            Criterion("d_max_variation", variation, max_variation, variation <= max_variation),
            Criterion("top_overlap", top_overlap, min_overlap, top_overlap >= min_overlap),
            Criterion(
                "top_overlap_above_chance",
                top_overlap,
                overlap_by_chance,
                top_overlap > overlap_by_chance,
            ),
        )
    )


def split_stability(
    latents: Floats,
    y: NDArray[np.bool_],
    groups: NDArray[np.int64],
    *,
    seed: int,
    n_splits: int = N_SPLITS,
    n_top: int = N_TOP,
    max_variation: float = MAX_VARIATION,
    min_overlap: float = MIN_OVERLAP,
) -> SplitStability:
    """Measure d_max and the top latents on random halves of the vectors.

    Each split deals the vectors of each label and group evenly into two halves, or whole groups
    where no group holds both labels. The two halves of a split share no vector, so what they agree
    on is no copy; re-sampled sets that overlap would agree without any signal.

    Args:
        latents: [n, d_sae].
        y: labels [n].
        groups: [n], as `permuted_labels` takes them.
        seed: of the splits and the permutations.
        n_splits: how many, each with another random deal.
        n_top: size of the sets of top latents.
        max_variation: as `stability_verdict` takes it.
        min_overlap: likewise.

    Raises:
        UndefinedMetric: a half has fewer than 2 vectors of a class or no more than `n_top` latents
            that have a d, its groups leave fewer than 20 labellings, or a latent is not finite.
    """
    halves, overlaps, jaccards, drawn, null = [], [], [], [], []
    generator = np.random.default_rng(seed)
    for _ in range(n_splits):
        is_first = _deal(y, groups, generator)
        effects = [cohens_d(latents[side], y[side]) for side in (is_first, ~is_first)]
        tops = [top_latents(d, n_top) for d in effects]
        halves.append(
            (_half(y[is_first], effects[0], tops[0]), _half(y[~is_first], effects[1], tops[1]))
        )
        n_shared = len(np.intersect1d(tops[0], tops[1]))
        overlaps.append(n_shared / n_top)
        jaccards.append(n_shared / (2 * n_top - n_shared))
        drawn.append(_overlap_if_drawn(effects[0], effects[1], n_top))
        null.append(
            _permuted_overlaps(
                [(latents[side], y[side], groups[side]) for side in (is_first, ~is_first)],
                n_top=n_top,
                n_permutations=-(-_N_PERMUTATIONS // n_splits),
                generator=generator,
            )
        )
    d_max = np.array([half.d_max for pair in halves for half in pair])
    by_chance = np.concatenate(null)
    high = float(np.quantile(by_chance, 0.975))
    return SplitStability(
        halves=tuple(halves),
        d_max_mean=float(d_max.mean()),
        d_max_sd=float(d_max.std(ddof=1)),
        n_top=n_top,
        top_overlap=float(np.mean(overlaps)),
        top_jaccard=float(np.mean(jaccards)),
        overlap_if_drawn=float(np.mean(drawn)),
        overlap_by_chance=float(by_chance.mean()),
        overlap_by_chance_high=high,
        verdict=stability_verdict(
            d_max=d_max,
            top_overlap=float(np.mean(overlaps)),
            overlap_by_chance=high,
            max_variation=max_variation,
            min_overlap=min_overlap,
        ),
    )


def top_latents(d: NDArray[np.float64], n_top: int) -> NDArray[np.int64]:
    """The `n_top` latents with the largest |d|, falling; of equal ones the lower number first.

    Raises:
        UndefinedMetric: no more than `n_top` latents have a d, so there is nothing to choose.
    """
    size = np.abs(d)
    n_defined = int((~np.isnan(size)).sum())
    if n_defined <= n_top:
        raise UndefinedMetric(
            f"only {n_defined} latents have a Cohen's d, so the top {n_top} are no choice"
        )
    return np.argsort(-size, kind="stable")[:n_top]  # NaN is sorted last


def _half(y: NDArray[np.bool_], d: NDArray[np.float64], top: NDArray[np.int64]) -> Half:
    return Half(
        n_positive=int(y.sum()),
        n_negative=int((~y).sum()),
        d_max=float(abs(d[top[0]])),
        top=tuple(top.tolist()),
        n_latents=int((~np.isnan(d)).sum()),
    )


def _deal(
    y: NDArray[np.bool_], groups: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Which vectors [n] are in the first half."""
    _, index = np.unique(groups, return_inverse=True)
    if exchangeable(y, groups).scheme == "within_groups":
        return _every_other(2 * index + y, generator)
    label_of_group = np.bincount(index[y], minlength=int(index.max()) + 1) > 0
    return _every_other(label_of_group.astype(np.int64), generator)[index]


def _every_other(cells: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.bool_]:
    """Half of the members of each cell, and half of all, up to one."""
    order = np.argsort(cells + generator.random(len(cells)))
    is_first = np.empty(len(cells), np.bool_)
    is_first[order] = np.arange(len(cells)) % 2 == 0
    return is_first


def _overlap_if_drawn(first: NDArray[np.float64], second: NDArray[np.float64], n_top: int) -> float:
    """Expected share of two sets of `n_top` that agree if drawn from what both can choose from."""
    in_both = int((~np.isnan(first) & ~np.isnan(second)).sum())
    # A latent is in the first set with n_top / n_first, in the second with n_top / n_second.
    sizes = int((~np.isnan(first)).sum()) * int((~np.isnan(second)).sum())
    return in_both * n_top / sizes


def _permuted_overlaps(
    halves: list[tuple[Floats, NDArray[np.bool_], NDArray[np.int64]]],
    *,
    n_top: int,
    n_permutations: int,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """[n_permutations] share of the top latents that two halves agree on, labels permuted in each.

    Permuting within a half keeps its number of positive vectors, in each group where they mix.
    """
    is_top = []
    for latents, y, groups in halves:
        if exchangeable(y, groups).n_arrangements < MIN_ARRANGEMENTS:
            raise UndefinedMetric("the groups leave too few labellings of a half of the vectors")
        labels = permuted_labels(y, groups, n_permutations, int(generator.integers(2**32)))
        size = np.full((n_permutations, latents.shape[1]), -1.0, np.float32)
        for rows, columns, d in permuted_d(latents, labels):
            size[rows, columns] = np.nan_to_num(np.abs(d), nan=-1.0)
        top = np.argpartition(-size, n_top - 1, axis=1)[:, :n_top]
        marked = np.zeros(size.shape, np.bool_)
        np.put_along_axis(marked, top, True, axis=1)
        is_top.append(marked)
    return np.asarray((is_top[0] & is_top[1]).sum(axis=1) / n_top)
