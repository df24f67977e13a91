"""Activations of the manifest's own completions, by training condition."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from manifests.completions import Completion, Split, for_condition, load_split
from manifests.data import Pooling
from manifests.digests import bytes_sha256
from manifests.progress import Progress
from validators.base_models.access import BaseModelAccess
from validators.base_models.base_model import completion_token_ids
from validators.claim import Claim
from validators.evidence.activations import (
    CapturedActivations,
    Vectors,
    capture_completions,
)
from validators.evidence.claimed_data import ClaimedData, Part
from validators.evidence.evidence import (
    JudgedSae,
    Sample,
    TokenContext,
    group_ids,
    outlying,
    without_outliers,
)
from validators.evidence.kept_vectors import KeptVectors, capture_key
from validators.places.place import Place

# Of the vectors of all places together, where every token is one.
MAX_BYTES = 2_000_000_000


class CompletionEvidence(ClaimedData):
    """The completions of a claim; training never saw the held-out ones.

    The groups are the scenarios: completions of one prompt are much alike. Where every token is a
    vector, as many completions are read as fit a bound.
    """

    def __init__(
        self,
        saes: tuple[JudgedSae, ...],
        claim: Claim,
        access: BaseModelAccess,
        progress: Progress,
        *,
        keep_in: Path | None = None,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            saes: what is judged.
            claim: whose completions are read.
            access: the base model.
            progress: counts completions.
            keep_in: a folder to keep vectors in, and to take them from where they are still those
                that a new pass would give; None: they are read anew.
        """
        super().__init__(saes, claim, access, progress)
        self._keep_in = keep_in

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
        return self._kept_or_read((*self.judged.train, *self.judged.held_out))

    def held_out_part(self) -> Part:
        """See `ClaimedData.held_out_part`; of a former capture of all, where there was one."""
        if self.was_captured:
            return self._part(self.judged.held_out)
        rows = self.judged.held_out
        return self._part_of(rows, self._kept_or_read(rows).vectors)

    def training_part(self) -> Part:
        """The training completions that are read, at every place.

        Raises:
            NoEvidence: the data or the base model cannot be read.
        """
        return self._part(self.judged.train)

    def _part(self, rows: tuple[Completion, ...]) -> Part:
        indices = self._indices(rows)
        vectors = {place: found[indices] for place, found in self.captured.vectors.items()}
        return self._part_of(rows, vectors)

    def _part_of(self, rows: tuple[Completion, ...], vectors: dict[Place, Vectors]) -> Part:
        sizes = [self._sizes[row.id] for row in rows]
        return Part(
            vectors=vectors,
            groups=self._groups(rows),
            owners=np.repeat(np.arange(len(rows)), sizes),
            rows=rows,
        )

    def _kept_or_read(self, completions: tuple[Completion, ...]) -> CapturedActivations:
        """The vectors of completions at every place, from the disk where they are kept."""
        if self._keep_in is None:
            return self._read(completions, self.places)
        precision = self._claim.manifest.base_model.precision
        key = capture_key(self.base, precision, completions, self._pooling)
        kept = KeptVectors(self._keep_in, key)
        found = kept.read(self.places)
        if found is not None:
            self._progress.note(f"activations: those of an earlier run, {kept.path.name}")
            return found
        captured = self._read(completions, self.places)
        try:
            kept.write(captured)
        except OSError as error:
            # They only save time later, so a full disk is no reason to stop.
            self._progress.note(f"activations: cannot be saved: {error.strerror or error}")
        return captured

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

    def vectors_of(
        self, sae: JudgedSae, rows: Sequence[Completion]
    ) -> tuple[Vectors, NDArray[np.int64]]:
        """Vectors of completions at an SAE's place, outlying ones included.

        Returns:
            vectors: [n, d_in].
            owners: [n], which of the completions each vector is of.
        """
        vectors = self.captured.vectors[self.place_of(sae)][self._indices(tuple(rows))]
        sizes = [self._sizes[row.id] for row in rows]
        return self._access.own_columns(sae, vectors), np.repeat(np.arange(len(rows)), sizes)

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
