"""SAEs of one layer that differ in one thing, on the same held-out vectors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manifests.matrix import SaeSpec
from validators.metrics.paired_differences import (
    PairedDifference,
    PerVector,
    difference_in_cosine,
    difference_in_explained_variance,
    difference_in_l0,
    differs_in_l0,
)
from validators.metrics.undefined import UndefinedMetric
from validators.report import Contrast, Measurement

Compute = Callable[[PerVector, PerVector, NDArray[np.int64]], PairedDifference]
_DIFFERENCES: dict[str, tuple[Compute, str]] = {
    "explained_variance": (difference_in_explained_variance, ""),
    "l0": (difference_in_l0, "latents per vector"),
    "cosine": (difference_in_cosine, ""),
}


@dataclass(frozen=True)
class Judged:
    """One SAE on the held-out vectors of its layer.

    Attributes:
        spec: what the manifest says of it.
        run: what it makes of each vector.
        groups: [n] the scenario of each vector.
    """

    spec: SaeSpec
    run: PerVector
    groups: NDArray[np.int64]


def contrasts(judged: Sequence[Judged]) -> tuple[Contrast, ...]:
    """Every pair that differs in its training condition, its architecture or its variant alone.

    The vectors are the held-out ones of all labels, whatever the SAEs were trained on, so that two
    training conditions are compared on the same ground.
    """
    return tuple(
        _contrast(kind, first, second)
        for first, second in itertools.combinations(judged, 2)
        for kind in _kinds(first.spec, second.spec)
    )


def _kinds(first: SaeSpec, second: SaeSpec) -> Iterator[str]:
    """What the two differ in, if it is one thing."""
    if first.layer != second.layer:
        return
    differing = [
        axis
        for axis in ("condition", "architecture", "variant")
        if getattr(first, axis) != getattr(second, axis)
    ]
    if len(differing) == 1:
        yield differing[0]


def _contrast(kind: str, first: Judged, second: Judged) -> Contrast:
    found: dict[str, Measurement] = {}
    for name, (compute, unit) in _DIFFERENCES.items():
        try:
            difference = compute(first.run, second.run, first.groups)
        except UndefinedMetric as error:
            found[name] = Measurement(
                value=None, n=first.run.n, split="held_out", unit=unit, reason=error.what
            )
            continue
        found[name] = Measurement(
            value=difference.value,
            n=difference.n,
            split="held_out",
            unit=unit,
            low=difference.low,
            high=difference.high,
        )
    facts: Mapping[str, object] = {
        "kind": kind,
        "first": first.spec.sae_id,
        "second": second.spec.sae_id,
        "differs_in_l0": differs_in_l0(first.run, second.run),
        "differences": found,
    }
    return Contrast.model_validate(facts)
