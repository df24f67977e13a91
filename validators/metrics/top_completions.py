"""What the latents with the largest d fire on: rates by class, and the completions on top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.effect_size import cohens_d
from validators.metrics.undefined import UndefinedMetric

Floats = NDArray[np.floating[Any]]

N_LATENTS = 5
N_ROWS = 10
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Share:
    """A share of counted things, with its Wilson interval.

    Attributes:
        k: how many are so.
        n: of how many.
        low: lower end of the interval.
        high: upper end.
        confidence: of the interval; it takes the n as independent, which vectors of one group are
            not quite.
    """

    k: int
    n: int
    low: float
    high: float
    confidence: float

    @property
    def value(self) -> float:
        """The share itself, k / n."""
        return self.k / self.n


@dataclass(frozen=True)
class TopRows:
    """The vectors that a latent is most active on.

    Attributes:
        rows: their numbers, falling by activation, of equal ones the lower number first; fewer
            than asked for where the latent is active on fewer.
        activations: the latent's values on them.
    """

    rows: tuple[int, ...]
    activations: tuple[float, ...]


@dataclass(frozen=True)
class TopLatent:
    """A latent with one of the largest |d|.

    Attributes:
        latent: its number.
        d: Cohen's d, positive where the positive class has the larger mean.
        firing_positive: share of the positive vectors that it is active on.
        firing_negative: the same of the negative ones.
        positive_of_active: share of the vectors it is active on that are positive; compare it
            with the share of all vectors.
        top: the vectors it is most active on.
        top_positive: the same among the positive ones.
        top_negative: the same among the negative ones.
        same_rows_as: other latents of the list that tell a reader nothing new: the same vectors on
            top, in whatever order, or the same first vector in both classes.
    """

    latent: int
    d: float
    firing_positive: Share
    firing_negative: Share
    positive_of_active: Share
    top: TopRows
    top_positive: TopRows
    top_negative: TopRows
    same_rows_as: tuple[int, ...]


def share(k: int, n: int, *, confidence: float = CONFIDENCE) -> Share:
    """Count k of n, with the Wilson score interval.

    Raises:
        UndefinedMetric: n is 0.

    Source: Wilson 1927, J. Am. Stat. Assoc. 22; computed by scipy.stats.binomtest.
    """
    from scipy.stats import binomtest

    if n == 0:
        raise UndefinedMetric("a share of nothing")
    interval = binomtest(k, n).proportion_ci(confidence, method="wilson")
    return Share(
        k=k, n=n, low=float(interval.low), high=float(interval.high), confidence=confidence
    )


def top_completions(
    latents: Floats, y: NDArray[np.bool_], *, n_latents: int = N_LATENTS, n_rows: int = N_ROWS
) -> tuple[TopLatent, ...]:
    """The `n_latents` latents with the largest |d|, falling, and what they are active on.

    Active is a value that is not 0. Fewer latents come back where fewer have a d. They were chosen
    on these vectors, so their rates and shares are as inflated as their d.

    Args:
        latents: [n, d_sae].
        y: labels [n].
        n_latents: how many latents.
        n_rows: how many vectors of each at most.

    Raises:
        UndefinedMetric: as `cohens_d`; no latent has a d.
    """
    d = cohens_d(latents, y)
    chosen = np.argsort(-np.abs(d), kind="stable")[: min(n_latents, int((~np.isnan(d)).sum()))]
    if not len(chosen):
        raise UndefinedMetric("no latent varies within a class, so none has a Cohen's d")
    values = {int(latent): latents[:, latent] for latent in chosen}
    everywhere = np.ones(len(y), np.bool_)
    rows = {
        latent: tuple(_top_rows(value, side, n_rows) for side in (everywhere, y, ~y))
        for latent, value in values.items()
    }
    return tuple(
        TopLatent(
            latent=latent,
            d=float(d[latent]),
            firing_positive=share(int((value[y] != 0).sum()), int(y.sum())),
            firing_negative=share(int((value[~y] != 0).sum()), int((~y).sum())),
            positive_of_active=share(int((value[y] != 0).sum()), int((value != 0).sum())),
            top=rows[latent][0],
            top_positive=rows[latent][1],
            top_negative=rows[latent][2],
            same_rows_as=tuple(
                other
                for other in values
                if other != latent and _tell_the_same(rows[latent], rows[other])
            ),
        )
        for latent, value in values.items()
    )


def _top_rows(values: Floats, side: NDArray[np.bool_], n_rows: int) -> TopRows:
    """The active vectors of one side with the largest values [n]."""
    active = np.flatnonzero(side & (values != 0))
    order = active[np.argsort(-values[active], kind="stable")][:n_rows]
    return TopRows(
        rows=tuple(order.tolist()),
        activations=tuple(float(value) for value in values[order]),
    )


def _tell_the_same(first: tuple[TopRows, ...], second: tuple[TopRows, ...]) -> bool:
    """Whether two latents have the same vectors on top; each: of all, positive, negative."""
    if set(first[0].rows) == set(second[0].rows):
        return True
    examples = [[one.rows[:1] for one in latent[1:]] for latent in (first, second)]
    return examples[0] == examples[1]
