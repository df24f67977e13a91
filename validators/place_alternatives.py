"""The same SAE at the places with which the declared one could have been confused.

Explained variance alone does not decide: places differ in how easy they are to explain, and a
neighbouring layer may win by chance or because one direction carries all its variance. An SAE that
is at home at a place makes errors that have no preferred direction there; elsewhere their mean is
far from zero. So a place wins only if the SAE is at home there, and does better for sure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from validators.alternatives import MAX_VECTORS
from validators.evidence.evidence import outlying
from validators.manual.forward import Floats
from validators.metrics.bootstrap import (
    Difference,
    bias_share_difference,
    explained_variance_difference,
    squared_errors,
    squares_about_mean,
)
from validators.metrics.undefined import UndefinedMetric
from validators.places.neighbours import alternatives_of
from validators.places.place import Place

if TYPE_CHECKING:
    from validators.subjects import RepositorySubject, SaeSubject

# Measured on 26 SAEs of SmolLM2-135M at their own places and at all neighbours: at home the mean
# error carried at most 1% of the squared error, elsewhere mostly 9% and more.
AT_HOME = 0.02
SUSPICIOUS = 0.01
# Where the SAE is at home as declared, a neighbour that is simpler to explain may gain this much:
# 0.047 was seen at the residual stream before the MLP of the same block.
MARGIN = 0.1


@dataclass(frozen=True)
class TriedPlace:
    """One other place, against the declared one, over n vectors.

    Attributes:
        name: what the place is, such as `one layer earlier`.
        place: where.
        n: vectors that are outliers at neither place.
        explained_variance: there; `declared` is that of the declared place on the same vectors.
        declared: see above.
        bias_share: `||mean(x - x_hat)||^2 / mean ||x - x_hat||^2` there, less what chance gives.
        declared_bias_share: the same at the declared place.
        gain: explained variance there minus here.
        bias_drop: bias share here minus there.
    """

    name: str
    place: Place
    n: int
    explained_variance: float
    declared: float
    bias_share: float
    declared_bias_share: float
    gain: Difference
    bias_drop: Difference

    @property
    def wins(self) -> bool:
        """Whether the SAE belongs there and not where it is declared."""
        # On few vectors the share of an unbiased error still scatters by about 1/n.
        if self.bias_share > AT_HOME + 1 / self.n or self.gain.low <= 0:
            return False
        is_biased_here = self.declared_bias_share > SUSPICIOUS and self.bias_drop.low > 0
        return is_biased_here or self.gain.value > MARGIN


def read_all_neighbours(subject: RepositorySubject) -> None:
    """Read the neighbours of every place that an SAE names, in one pass of the base model."""
    evidence = subject.evidence
    model = evidence.base.model
    evidence.read_elsewhere(
        frozenset(place for own in evidence.places for _, place in alternatives_of(own, model))
    )


def try_places(sae: SaeSubject) -> tuple[TriedPlace, ...]:
    """Run the SAE at every neighbour of its place.

    Raises:
        NoEvidence: there is no base model.
        ReleaseError: the SAE names no place of it.
    """
    evidence = sae.parent.evidence
    own = evidence.sample_at(sae.place, sae)
    if own is None:
        return ()
    n = len(own.vectors)
    rows = np.linspace(0, n - 1, min(n, MAX_VECTORS)).astype(np.int64)
    here, groups = own.vectors[rows], own.groups[rows]
    errors_here = here - sae.manual.run(here)[1]
    tried = []
    for name, place in alternatives_of(sae.place, evidence.base.model):
        other = evidence.sample_at(place, sae)
        if other is None or other.vectors.shape != own.vectors.shape:
            continue
        keep = ~outlying(other.vectors)[rows]
        there = other.vectors[rows][keep]
        errors_there = there - sae.manual.run(there)[1]
        found = _compare(here[keep], errors_here[keep], there, errors_there, groups[keep])
        if found is not None:
            tried.append(TriedPlace(name, place, *found))
    return tuple(tried)


def _compare(
    here: Floats,
    errors_here: Floats,
    there: Floats,
    errors_there: Floats,
    groups: NDArray[np.int64],
) -> tuple[int, float, float, float, float, Difference, Difference] | None:
    zero = np.zeros((1, 1), np.float32)
    pairs = [
        (squared_errors(errors, zero), squares_about_mean(x))
        for errors, x in ((errors_here, here), (errors_there, there))
    ]
    try:
        gain = explained_variance_difference(pairs[0], pairs[1], groups)
        drop = bias_share_difference(errors_there, errors_here, groups)
    except UndefinedMetric:
        # Nothing finite comes out there, or nothing varies: no place that could win.
        return None
    explained = [1 - float(errors.sum() / squares.sum()) for errors, squares in pairs]
    shares = [_bias_share(errors) for errors in (errors_there, errors_here)]
    return len(here), explained[1], explained[0], shares[0], shares[1], gain, drop


def _bias_share(errors: Floats) -> float:
    """`||mean||^2 / mean ||.||^2` of error vectors [n, d_in]; 0 where there are no errors.

    Errors without any bias give 1/n on average, since their sample mean is not quite zero; that
    much is taken off.
    """
    n, wide = len(errors), errors.astype(np.float64)
    total = float((wide**2).sum(axis=1).mean())
    if n < 2 or total == 0:
        return 0.0
    share = float((wide.mean(axis=0) ** 2).sum()) / total
    return max(0.0, (share - 1 / n) / (1 - 1 / n))
