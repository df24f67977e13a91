"""Activations of the manifest's own completions: one vector of each, by training condition."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from manifests.completions import Completion, Split, for_condition, load_split
from manifests.errors import ReleaseError
from manifests.progress import Progress
from validators.base_models.access import BaseModelAccess
from validators.base_models.base_model import BaseModel, completion_token_ids
from validators.claim import Claim
from validators.evidence.activations import CapturedActivations, capture_completions
from validators.evidence.evidence import (
    Evidence,
    JudgedSae,
    NoEvidence,
    Sample,
    TokenContext,
    as_no_evidence,
    group_ids,
    outlying,
    without_outliers,
)
from validators.places.place import Place


class CompletionEvidence(Evidence):
    """The completions of a claim; training never saw the held-out ones.

    The groups are the scenarios: completions of one prompt are much alike.
    """

    knows_training = True

    def __init__(
        self,
        saes: tuple[JudgedSae, ...],
        claim: Claim,
        access: BaseModelAccess,
        progress: Progress,
    ) -> None:
        super().__init__(saes)
        self._claim = claim
        self._access = access
        self._progress = progress
        self._elsewhere: dict[Place, CapturedActivations] = {}

    @property
    def description(self) -> str:
        """Number of completions and the base model."""
        return f"{self.captured.n_passes} completions, base model {self.base.source}"

    @property
    def base(self) -> BaseModel:
        """The base model of the claim."""
        return self._access.base

    def place_of(self, sae: JudgedSae) -> Place:
        """See `Evidence.place_of`."""
        return self._access.place_of(sae)

    @cached_property
    def split(self) -> Split:
        """The completions of the claim's data, training and held-out.

        Raises:
            NoEvidence: the data is not on this machine, or differs.
        """
        if self._claim.loaded is None:
            raise NoEvidence(
                f"the completions ({self._claim.manifest.data.file or 'of no known file'}) are "
                "not published with the repository",
                next_step="name the local manifest, beside which the data lies, or give a text "
                "with --text FILE",
            )
        try:
            return load_split(self._claim.loaded)
        except ReleaseError as error:
            raise as_no_evidence(error) from error

    def _capture(self) -> CapturedActivations:
        return self._read((*self.split.train, *self.split.held_out), self.places)

    def _read(
        self, completions: tuple[Completion, ...], places: frozenset[Place]
    ) -> CapturedActivations:
        pooling = self._claim.manifest.data.at_hand().pooling
        return capture_completions(self.base, completions, places, pooling, self._progress)

    def sample(self, sae: JudgedSae, *, train: bool) -> Sample:
        """Vectors of the SAE's condition."""
        rows = self.rows(sae.condition, train=train)
        vectors = self.captured.vectors[self.place_of(sae)][self._indices(rows)]
        own = self._access.own_columns(sae, vectors)
        return without_outliers(own, group_ids(row.scenario for row in rows))

    def sample_at(self, place: Place, sae: JudgedSae) -> Sample | None:
        """The held-out vectors of another place, read when first asked for, many at once."""
        rows = self.rows(sae.condition, train=False)
        found = self.captured.vectors.get(place)
        if found is not None:
            vectors = found[self._indices(rows)]
        else:
            captured = self._elsewhere.get(place)
            if captured is None or place not in captured.vectors:
                return None
            held_out = {row.id: index for index, row in enumerate(self.split.held_out)}
            vectors = captured.vectors[place][[held_out[row.id] for row in rows]]
        own = self.captured.vectors[self.place_of(sae)][self._indices(rows)]
        keep = ~outlying(own)
        groups = group_ids(row.scenario for row in rows)
        return Sample(vectors[keep], groups[keep], vectors[~keep])

    def read_elsewhere(self, places: frozenset[Place]) -> None:
        """Read the held-out completions at further places, for `sample_at`."""
        new = places - self.captured.vectors.keys() - self._elsewhere.keys()
        if new:
            captured = self._read(self.split.held_out, frozenset(new))
            self._elsewhere |= dict.fromkeys(new, captured)

    def rows(self, condition: str | None, *, train: bool) -> tuple[Completion, ...]:
        """One condition's training or held-out completions; without a condition, of all."""
        rows = self.split.train if train else self.split.held_out
        if condition is None:
            return tuple(rows)
        return for_condition(rows, self._claim.manifest.data.conditions[condition])

    def contexts(self, sae: JudgedSae, *, at_most: int) -> tuple[TokenContext, ...]:
        """Held-out completions, of every scenario as many as of the others where there are."""
        by_scenario: dict[str, list[Completion]] = {}
        for row in self.rows(sae.condition, train=False):
            by_scenario.setdefault(row.scenario, []).append(row)
        chosen: list[tuple[int, Completion]] = []
        depth = 0
        while len(chosen) < at_most and any(len(rows) > depth for rows in by_scenario.values()):
            chosen += [
                (group, rows[depth])
                for group, rows in enumerate(by_scenario.values())
                if len(rows) > depth
            ]
            depth += 1
        contexts = []
        for group, row in chosen[:at_most]:
            input_ids, n_prompt = completion_token_ids(self.base.tokenizer, row)
            contexts.append(TokenContext(tuple(input_ids), n_prompt, group))
        return tuple(contexts)

    def n_vectors(self) -> dict[str, dict[str, int]]:
        """Number of vectors by condition, then by split."""
        return {
            condition: {
                "train": len(self.rows(condition, train=True)),
                "held_out": len(self.rows(condition, train=False)),
            }
            for condition in sorted(self._claim.manifest.data.conditions)
        }

    @cached_property
    def _row_of(self) -> dict[str, int]:
        every = (*self.split.train, *self.split.held_out)
        return {row.id: index for index, row in enumerate(every)}

    def _indices(self, rows: tuple[Completion, ...]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([self._row_of[row.id] for row in rows], dtype=np.int64)
