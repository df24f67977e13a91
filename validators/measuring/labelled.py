"""The labelled completions as one vector each, the same rows at every place and for every SAE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.completions import Completion
from manifests.digests import json_sha256
from manifests.measure import Measure
from validators.evidence.activations import Vectors
from validators.evidence.completions import CompletionEvidence
from validators.evidence.evidence import JudgedSae, group_ids, outlying
from validators.metrics.undefined import UndefinedMetric


@dataclass(frozen=True)
class Labelled:
    """Completions with one of the two labels that are told apart.

    Attributes:
        rows: the completions, training ones first.
        y: [n] whether a completion has the positive label.
        groups: [n] its scenario.
        is_held_out: [n] whether training of the SAEs never saw it.
    """

    rows: tuple[Completion, ...]
    y: NDArray[np.bool_]
    groups: NDArray[np.int64]
    is_held_out: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of which completions they are."""
        return json_sha256([row.id for row in self.rows])


def labelled(evidence: CompletionEvidence, saes: Sequence[JudgedSae], measure: Measure) -> Labelled:
    """All completions of both labels whose vector is ordinary at every place.

    A completion whose vector is of outlying norm at one place is left out at all of them, so that
    two places, or two SAEs, are always compared on the same completions. Where every token is a
    vector, single outlying tokens are left out instead.

    Raises:
        UndefinedMetric: no completion has one of the labels, or all have the same.
        NoEvidence: the data or the base model cannot be read.
    """
    wanted = (measure.positive, measure.negative)
    parts = (evidence.judged.train, evidence.judged.held_out)
    rows = [row for part in parts for row in part if row.label in wanted]
    held_out = {row.id for row in evidence.judged.held_out}
    keep = np.ones(len(rows), dtype=np.bool_)
    for sae in _one_per_place(evidence, saes):
        vectors, owners = evidence.vectors_of(sae, rows)
        ordinary = owners[~outlying(vectors)]
        keep &= np.isin(np.arange(len(rows)), ordinary)
    chosen = tuple(row for row, kept in zip(rows, keep, strict=True) if kept)
    y = np.array([row.label == measure.positive for row in chosen], dtype=np.bool_)
    if len(y) == 0 or y.all() or not y.any():
        found = sorted({row.label for row in chosen})
        raise UndefinedMetric(
            f"the completions have {'the label ' + found[0] if found else 'no label'} only, so "
            f"that {measure.positive} cannot be told from {measure.negative}"
        )
    return Labelled(
        rows=chosen,
        y=y,
        groups=group_ids(row.scenario for row in chosen),
        is_held_out=np.array([row.id in held_out for row in chosen], dtype=np.bool_),
    )


def _one_per_place(
    evidence: CompletionEvidence, saes: Sequence[JudgedSae]
) -> tuple[JudgedSae, ...]:
    return tuple({evidence.place_of(sae): sae for sae in saes}.values())


def ordinary_vectors(
    evidence: CompletionEvidence, sae: JudgedSae, rows: Sequence[Completion]
) -> tuple[Vectors, NDArray[np.int64]]:
    """Vectors of completions at an SAE's place without those of outlying norm.

    Returns:
        vectors: [n, d_in].
        owners: [n], which of the completions each vector is of.
    """
    vectors, owners = evidence.vectors_of(sae, rows)
    keep = ~outlying(vectors)
    return vectors[keep], owners[keep]


class OwnerMeans:
    """Means over the vectors of each completion, batch by batch.

    Where each has one vector, these are the rows themselves, bit for bit.
    """

    def __init__(self, owners: NDArray[np.int64], n_owners: int) -> None:
        """Prepare.

        Args:
            owners: [n] which completion each vector is of.
            n_owners: number of completions, each with a vector at least.
        """
        self._owners = owners
        self._counts = np.bincount(owners, minlength=n_owners)
        self._is_one_each = bool((self._counts == 1).all())
        self._n_seen = 0
        self._sums: NDArray[Any] | None = None

    def add(self, values: Vectors) -> None:
        """Add the next vectors [batch, d], in the order of the owners."""
        if self._sums is None:
            dtype = values.dtype if self._is_one_each else np.dtype(np.float64)
            self._sums = np.zeros((len(self._counts), values.shape[1]), dtype=dtype)
        own = self._owners[self._n_seen : self._n_seen + len(values)]
        self._n_seen += len(values)
        if self._is_one_each:
            self._sums[own] = values
        else:
            np.add.at(self._sums, own, values)

    def means(self) -> Vectors:
        """[n_owners, d], once every vector was added."""
        assert self._sums is not None
        assert self._n_seen == len(self._owners)
        if self._is_one_each:
            return self._sums
        return np.asarray(self._sums / self._counts[:, None], dtype=np.float32)


def mean_by_owner(values: Vectors, owners: NDArray[np.int64], n_owners: int) -> Vectors:
    """Means [n_owners, d] of the rows of values [n, d] that belong to each owner."""
    means = OwnerMeans(owners, n_owners)
    means.add(values)
    return means.means()
