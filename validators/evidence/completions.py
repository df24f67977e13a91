"""Activations of the manifest's own completions, by training condition."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from manifests.completions import Completion, Split, for_condition, load_split
from manifests.data import Pooling
from manifests.digests import bytes_sha256
from validators.base_models.base_model import completion_token_ids
from validators.evidence.activations import CapturedActivations, capture_completions
from validators.evidence.claimed_data import ClaimedData
from validators.evidence.evidence import (
    JudgedSae,
    Sample,
    TokenContext,
    group_ids,
    outlying,
    without_outliers,
)
from validators.places.place import Place

# Of the vectors of all places together, where every token is one.
MAX_BYTES = 2_000_000_000


class CompletionEvidence(ClaimedData):
    """The completions of a claim; training never saw the held-out ones.

    The groups are the scenarios: completions of one prompt are much alike. Where every token is a
    vector, as many completions are read as fit a bound.
    """

    @property
    def description(self) -> str:
        """Number of completions and the base model."""
        return f"{self.captured.n_passes} completions, base model {self.base.source}"

    @cached_property
    def split(self) -> Split:
        """All completions of the claim's data, training and held-out.

        Raises:
            NoEvidence: the data is not on this machine, or differs.
        """
        return self._loaded_split(
            load_split,
            missing="the completions ({}) are not published with the repository",
        )

    @cached_property
    def _sizes(self) -> dict[str, int]:
        """By id, how many vectors a completion gives."""
        every = (*self.split.train, *self.split.held_out)
        if self._pooling != "every_token":
            return {row.id: 1 for row in every}
        tokens = {row.id: completion_token_ids(self.base.tokenizer, row) for row in every}
        return {row_id: len(ids) - n_prompt for row_id, (ids, n_prompt) in tokens.items()}

    @cached_property
    def judged(self) -> Split:
        """The completions that are read: all, or of each part those whose vectors fit `MAX_BYTES`.

        Which ones the digest of their id decides, so it is a sample of every scenario.
        """
        if self._pooling != "every_token":
            return self.split
        config = self.base.model.config.get_text_config()
        bytes_each = 4 * int(config.hidden_size) * max(1, len(self.places))
        limit = MAX_BYTES // 2 // bytes_each
        return Split(
            self._fitting(self.split.train, limit), self._fitting(self.split.held_out, limit)
        )

    def _fitting(self, rows: tuple[Completion, ...], limit: int) -> tuple[Completion, ...]:
        if sum(self._sizes[row.id] for row in rows) <= limit:
            return rows
        chosen: set[str] = set()
        n_vectors = 0
        for row in sorted(rows, key=lambda row: bytes_sha256(row.id.encode())):
            n_vectors += self._sizes[row.id]
            if chosen and n_vectors > limit:
                break
            chosen.add(row.id)
        return tuple(row for row in rows if row.id in chosen)

    @property
    def _pooling(self) -> Pooling:
        return self._claim.manifest.data.at_hand().pooling

    def _capture(self) -> CapturedActivations:
        return self._read((*self.judged.train, *self.judged.held_out), self.places)

    def _read(
        self, completions: tuple[Completion, ...], places: frozenset[Place]
    ) -> CapturedActivations:
        return capture_completions(self.base, completions, places, self._pooling, self._progress)

    def sample(self, sae: JudgedSae, *, train: bool) -> Sample:
        """Vectors of the SAE's condition."""
        rows = self.rows(sae.condition, train=train)
        vectors = self.captured.vectors[self.place_of(sae)][self._indices(rows)]
        own = self._access.own_columns(sae, vectors)
        return without_outliers(own, self._groups(rows))

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
            # Read alone, so they are counted from the first held-out one.
            first = sum(self._sizes[row.id] for row in self.judged.train)
            vectors = captured.vectors[place][self._indices(rows) - first]
        own = self.captured.vectors[self.place_of(sae)][self._indices(rows)]
        keep = ~outlying(own)
        groups = self._groups(rows)
        return Sample(vectors[keep], groups[keep], vectors[~keep])

    def read_elsewhere(self, places: frozenset[Place]) -> None:
        """Read the held-out completions at further places, for `sample_at`."""
        new = places - self.captured.vectors.keys() - self._elsewhere.keys()
        if new:
            captured = self._read(self.judged.held_out, frozenset(new))
            self._elsewhere |= dict.fromkeys(new, captured)

    def rows(self, condition: str | None, *, train: bool) -> tuple[Completion, ...]:
        """One condition's training or held-out completions that are read; without one, all."""
        return self._of_condition(self.judged, condition, train=train)

    def _of_condition(
        self, split: Split, condition: str | None, *, train: bool
    ) -> tuple[Completion, ...]:
        rows = split.train if train else split.held_out
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
        """Number of vectors by condition, then by split; of all completions, read or not."""
        return {
            condition: {
                part: sum(
                    self._sizes[row.id]
                    for row in self._of_condition(self.split, condition, train=part == "train")
                )
                for part in ("train", "held_out")
            }
            for condition in sorted(self._claim.manifest.data.conditions)
        }

    @cached_property
    def _start_of(self) -> dict[str, int]:
        """By id, the first of a completion's rows in what was captured."""
        every = [row.id for row in (*self.judged.train, *self.judged.held_out)]
        ends = np.cumsum([self._sizes[row_id] for row_id in every])
        return {
            row_id: int(end) - self._sizes[row_id] for row_id, end in zip(every, ends, strict=True)
        }

    def _indices(self, rows: tuple[Completion, ...]) -> NDArray[np.int64]:
        own = [
            np.arange(self._start_of[row.id], self._start_of[row.id] + self._sizes[row.id])
            for row in rows
        ]
        return np.concatenate(own).astype(np.int64) if own else np.zeros(0, dtype=np.int64)

    def _groups(self, rows: tuple[Completion, ...]) -> NDArray[np.int64]:
        sizes = [self._sizes[row.id] for row in rows]
        return np.repeat(group_ids(row.scenario for row in rows), sizes)
