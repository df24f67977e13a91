"""Activations of a manifest's own plain text; training never saw the held-out documents."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from manifests.data import PlainText
from manifests.digests import bytes_sha256
from manifests.documents import Document, DocumentSplit, load_document_split
from validators.base_models.contexts import context_token_ids
from validators.evidence.activations import CapturedActivations, Vectors, capture_contexts
from validators.evidence.claimed_data import ClaimedData, Part
from validators.evidence.evidence import (
    JudgedSae,
    Sample,
    TokenContext,
    outlying,
    without_outliers,
)
from validators.places.place import Place

# Of the training documents and of the held-out ones each.
MAX_POSITIONS = 10_240
# Of the vectors of all places together.
MAX_BYTES = 2_000_000_000


class DocumentEvidence(ClaimedData):
    """A sample of the contexts of a claim's text; the groups are its documents.

    Which contexts are read their digest decides, so every stretch of every document is as likely
    as any other.
    """

    @property
    def description(self) -> str:
        """Number of positions and contexts, and the base model."""
        n_positions = sum(self.captured.sizes)
        return (
            f"{n_positions} positions of {self.captured.n_passes} contexts of the manifest's "
            f"text, base model {self.base.source}"
        )

    @cached_property
    def split(self) -> DocumentSplit:
        """The documents of the claim's text, training and held-out.

        Raises:
            NoEvidence: the text is not on this machine, or differs.
        """
        return self._loaded_split(
            load_document_split,
            missing="the text ({}) is not published with the repository",
        )

    @property
    def _text(self) -> PlainText:
        text = self._claim.manifest.data.text
        assert text is not None, "completions have evidence of their own"
        return text

    @cached_property
    def _train(self) -> tuple[TokenContext, ...]:
        return self._contexts(self.split.train)

    @cached_property
    def _held_out(self) -> tuple[TokenContext, ...]:
        return self._contexts(self.split.held_out)

    def _contexts(self, documents: tuple[Document, ...]) -> tuple[TokenContext, ...]:
        """All contexts of documents, in the order in which they are taken into the sample."""
        found = []
        for group, document in enumerate(documents):
            contexts = context_token_ids(self.base.tokenizer, document.text, self._text)
            for number, ids in enumerate(contexts):
                digest = bytes_sha256(f"{document.id}:{number}".encode())
                n_prefix = max(1, self._text.skip_first)
                found.append((digest, TokenContext(tuple(ids), n_prefix, group)))
        return tuple(context for _, context in sorted(found, key=lambda pair: pair[0]))

    def _sampled(self, contexts: tuple[TokenContext, ...]) -> tuple[TokenContext, ...]:
        """The first contexts, as many as fit the bounds; one at least."""
        config = self.base.model.config.get_text_config()
        bytes_each = 4 * int(config.hidden_size) * max(1, len(self.places))
        ends = np.cumsum([len(context.input_ids) for context in contexts])
        limit = min(MAX_POSITIONS, MAX_BYTES // 2 // bytes_each)
        return contexts[: max(1, int((ends <= limit).sum()))]

    def _part(self, *, train: bool) -> tuple[TokenContext, ...]:
        return self._sampled(self._train if train else self._held_out)

    def _capture(self) -> CapturedActivations:
        every = (*self._part(train=True), *self._part(train=False))
        contexts = [context.input_ids for context in every]
        return capture_contexts(self.base, contexts, self.places, self._progress)

    def held_out_part(self) -> Part:
        """See `ClaimedData.held_out_part`."""
        contexts = self._part(train=False)
        ids = [context.input_ids for context in contexts]
        captured = capture_contexts(self.base, ids, self.places, self._progress)
        kept = self._kept(contexts)
        groups = self._groups(contexts)[kept]
        return Part(
            vectors={place: found[kept] for place, found in captured.vectors.items()},
            groups=groups,
            owners=np.zeros(len(groups), dtype=np.int64),
        )

    def sample(self, sae: JudgedSae, *, train: bool) -> Sample:
        """Vectors of the training or of the held-out documents, skipped positions left out."""
        contexts = self._part(train=train)
        captured = self.captured.vectors[self.place_of(sae)]
        n_train = sum(len(context.input_ids) for context in self._part(train=True))
        own = captured[:n_train] if train else captured[n_train:]
        kept = self._kept(contexts)
        vectors = self._access.own_columns(sae, own[kept])
        return without_outliers(vectors, self._groups(contexts)[kept])

    def read_elsewhere(self, places: frozenset[Place]) -> None:
        """Read the held-out contexts at further places, for `sample_at`."""
        new = places - self.captured.vectors.keys() - self._elsewhere.keys()
        if new:
            contexts = [context.input_ids for context in self._part(train=False)]
            captured = capture_contexts(self.base, contexts, frozenset(new), self._progress)
            self._elsewhere |= dict.fromkeys(new, captured)

    def sample_at(self, place: Place, sae: JudgedSae) -> Sample | None:
        """The held-out vectors of another place, read when first asked for."""
        contexts = self._part(train=False)
        n_held_out = sum(len(context.input_ids) for context in contexts)
        if place in self.captured.vectors:
            found: Vectors = self.captured.vectors[place][-n_held_out:]
        else:
            captured = self._elsewhere.get(place)
            if captured is None or place not in captured.vectors:
                return None
            found = captured.vectors[place]
        kept = self._kept(contexts)
        own = self.captured.vectors[self.place_of(sae)][-n_held_out:][kept]
        is_usual = ~outlying(own)
        vectors, groups = found[kept], self._groups(contexts)[kept]
        return Sample(vectors[is_usual], groups[is_usual], vectors[~is_usual])

    def contexts(self, sae: JudgedSae, *, at_most: int) -> tuple[TokenContext, ...]:  # noqa: ARG002
        """Held-out contexts of more than one judged token, one of each document first."""
        usable = [one for one in self._held_out if len(one.input_ids) > one.n_prefix]
        first: dict[int, TokenContext] = {}
        for context in usable:
            first.setdefault(context.group, context)
        chosen = set(map(id, first.values()))
        rest = [context for context in usable if id(context) not in chosen]
        return (*first.values(), *rest)[:at_most]

    def n_vectors(self) -> dict[str, dict[str, int]]:
        """Number of vectors by split, of the whole text, read or not."""
        counts = {
            "train": int(self._kept(self._train).sum()),
            "held_out": int(self._kept(self._held_out).sum()),
        }
        return {condition: counts for condition in sorted(self._claim.manifest.data.conditions)}

    def _kept(self, contexts: tuple[TokenContext, ...]) -> NDArray[np.bool_]:
        """[positions] whether a position gives a vector."""
        skip = self._text.skip_first
        parts = [np.arange(len(context.input_ids)) >= skip for context in contexts]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.bool_)

    @staticmethod
    def _groups(contexts: tuple[TokenContext, ...]) -> NDArray[np.int64]:
        sizes = [len(context.input_ids) for context in contexts]
        return np.repeat(np.array([one.group for one in contexts], dtype=np.int64), sizes)
