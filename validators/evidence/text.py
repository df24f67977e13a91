"""Activations of plain text: the vector of every position, for SAEs without data of their own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from manifests.progress import Progress
from validators.base_models.access import BaseModelAccess
from validators.base_models.base_model import BaseModel
from validators.evidence.activations import CapturedActivations, capture_contexts
from validators.evidence.evidence import (
    Evidence,
    JudgedSae,
    NoEvidence,
    Sample,
    TokenContext,
    outlying,
    without_outliers,
)
from validators.evidence.text_corpus import TextCorpus
from validators.places.place import Place

CONTEXT_TOKENS = 128
MAX_POSITIONS = 10_240
# Every fifth document is kept for fitting baselines.
_FIT_EVERY = 5
_CONTEXTS_PER_DOCUMENT = 2
_MIN_CONTEXT_TOKENS = 16
# All vectors of all places together.
MAX_BYTES = 2_000_000_000
# Positions read at the places that an SAE could be confused with.
_MAX_POSITIONS_ELSEWHERE = 2_560


class TextEvidence(Evidence):
    """A text corpus, cut into contexts; the groups are its documents.

    A context starts with the tokenizer's beginning-of-sequence token where it has one, unless the
    configs say `prepend_bos: false`.
    """

    knows_training = False

    def __init__(
        self,
        saes: tuple[JudgedSae, ...],
        corpus: TextCorpus,
        access: BaseModelAccess,
        progress: Progress,
    ) -> None:
        super().__init__(saes)
        self.corpus = corpus
        self._access = access
        self._progress = progress
        self._elsewhere: dict[Place, CapturedActivations] = {}

    @property
    def description(self) -> str:
        """Number of positions and texts, the corpus and the base model."""
        texts = len({context.group for context in self._contexts})
        return (
            f"{self._n_positions} positions of {texts} texts ({self.corpus.name}), base model "
            f"{self.base.source}"
        )

    @property
    def base(self) -> BaseModel:
        """The base model that the claim or the configs name."""
        return self._access.base

    def place_of(self, sae: JudgedSae) -> Place:
        """See `Evidence.place_of`."""
        return self._access.place_of(sae)

    @cached_property
    def _contexts(self) -> tuple[TokenContext, ...]:
        """Contexts of as many documents as fit the bounds.

        Raises:
            NoEvidence: the text gives too few tokens.
        """
        budget = self._position_budget()
        bos = self._bos()
        contexts: list[TokenContext] = []
        n_positions = 0
        for group, document in enumerate(self.corpus.documents):
            ids = [
                int(token)
                for token in self.base.tokenizer.encode(document, add_special_tokens=False)
            ]
            step = CONTEXT_TOKENS - len(bos)
            for start in range(0, len(ids), step)[:_CONTEXTS_PER_DOCUMENT]:
                own = ids[start : start + step]
                if len(own) < _MIN_CONTEXT_TOKENS:
                    continue
                contexts.append(TokenContext((*bos, *own), n_prefix=1, group=group))
                n_positions += len(bos) + len(own)
            if n_positions >= budget:
                break
        if len({self._is_for_fitting(context) for context in contexts}) < 2:
            raise NoEvidence(
                f"{self.corpus.name} gives {len(contexts)} contexts of at least "
                f"{_MIN_CONTEXT_TOKENS} tokens",
                expected="several documents to measure on, and one in five to fit baselines on",
                next_step="give more text with --text FILE",
            )
        return tuple(contexts)

    def _position_budget(self) -> int:
        config = self.base.model.config.get_text_config()
        bytes_each = 4 * int(config.hidden_size) * max(1, len(self.places))
        return max(1_024, min(MAX_POSITIONS, MAX_BYTES // bytes_each))

    def _bos(self) -> tuple[int, ...]:
        token = self.base.tokenizer.bos_token_id
        stated = [sae.hook_metadata.get("prepend_bos") for sae in self.saes]
        if token is None or (stated and all(value is False for value in stated)):
            return ()
        return (int(token),)

    @staticmethod
    def _is_for_fitting(context: TokenContext) -> bool:
        return context.group % _FIT_EVERY == 0

    @cached_property
    def _n_positions(self) -> int:
        return sum(len(context.input_ids) for context in self._contexts)

    @cached_property
    def _groups(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        sizes = [len(context.input_ids) for context in self._contexts]
        return np.repeat(np.array([c.group for c in self._contexts], dtype=np.int64), sizes)

    def _capture(self) -> CapturedActivations:
        contexts = [context.input_ids for context in self._contexts]
        return capture_contexts(self.base, contexts, self.places, self._progress)

    def sample(self, sae: JudgedSae, *, train: bool) -> Sample:
        """All positions of the documents to measure on, or of those to fit baselines on."""
        wanted = (self._groups % _FIT_EVERY == 0) == train
        vectors = self.captured.vectors[self.place_of(sae)][wanted]
        own = self._access.own_columns(sae, vectors)
        return without_outliers(own, self._groups[wanted])

    @cached_property
    def _held_out_elsewhere(self) -> Sequence[TokenContext]:
        """The first contexts to measure on, up to a bound."""
        chosen: list[TokenContext] = []
        n_positions = 0
        for context in self._contexts:
            if n_positions >= _MAX_POSITIONS_ELSEWHERE:
                break
            if not self._is_for_fitting(context):
                chosen.append(context)
                n_positions += len(context.input_ids)
        return chosen

    def read_elsewhere(self, places: frozenset[Place]) -> None:
        """Read part of the text at further places, for `sample_at`."""
        new = places - self._elsewhere.keys()
        if new:
            contexts = [context.input_ids for context in self._held_out_elsewhere]
            captured = capture_contexts(self.base, contexts, frozenset(new), self._progress)
            self._elsewhere |= dict.fromkeys(new, captured)

    def sample_at(self, place: Place, sae: JudgedSae) -> Sample | None:
        """The first of the positions to measure on, at another place."""
        chosen = self._held_out_elsewhere
        n = sum(len(context.input_ids) for context in chosen)
        is_held_out = self._groups % _FIT_EVERY != 0
        own = self.captured.vectors[self.place_of(sae)][is_held_out][:n]
        captured = self._elsewhere.get(place)
        if place in self.captured.vectors:
            vectors = self.captured.vectors[place][is_held_out][:n]
        elif captured is not None and place in captured.vectors:
            vectors = captured.vectors[place]
        else:
            return None
        keep = ~outlying(own)
        groups = self._groups[is_held_out][:n]
        return Sample(vectors[keep], groups[keep], vectors[~keep])

    def contexts(self, sae: JudgedSae, *, at_most: int) -> tuple[TokenContext, ...]:  # noqa: ARG002
        """The first contexts of documents to measure on, one of each document first."""
        held_out = [context for context in self._contexts if not self._is_for_fitting(context)]
        first: dict[int, TokenContext] = {}
        for context in held_out:
            first.setdefault(context.group, context)
        chosen = set(map(id, first.values()))
        rest = [context for context in held_out if id(context) not in chosen]
        return (*first.values(), *rest)[:at_most]

    def n_vectors(self) -> dict[str, dict[str, int]]:
        """Positions to measure on; on which vectors the SAEs were trained is not known."""
        held_out = int((self._groups % _FIT_EVERY != 0).sum())
        return {"text": {"train": 0, "held_out": held_out}}
