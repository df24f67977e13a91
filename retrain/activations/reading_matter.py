"""What a manifest's SAEs are trained on: its completions or documents, split, and their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manifests.completions import Completion, Split, load_split
from manifests.data import Condition, PlainText
from manifests.documents import DocumentSplit, load_document_split
from manifests.load import LoadedManifest
from retrain.activations.passages import (
    Passage,
    passages_of_completions,
    passages_of_documents,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ReadingMatter(Protocol):
    """The training part and the held-out part of a manifest's data."""

    @property
    def unit(self) -> str:
        """What it is made of, in the plural."""

    @property
    def ids(self) -> tuple[list[str], list[str]]:
        """Names of the training and of the held-out units, in order."""

    def passages(self, tokenizer: PreTrainedTokenizerBase) -> tuple[list[Passage], list[Passage]]:
        """What runs through the base model for training, and what is held out."""

    def rows(
        self, conditions: Mapping[str, Condition], n_vectors: NDArray[np.int64]
    ) -> dict[str, Tensor | None]:
        """The vectors of each condition, int64; None where it has all of them.

        Args:
            conditions: by name.
            n_vectors: [training passages] how many vectors each gave.
        """

    def held_out(
        self, conditions: Mapping[str, Condition], n_vectors: NDArray[np.int64]
    ) -> dict[str, int]:
        """Number of held-out vectors of each condition; `n_vectors`: of each held-out passage."""


def reading_matter(loaded: LoadedManifest, data: Path | None) -> ReadingMatter:
    """Read and split a manifest's data, or the file that replaces it.

    Raises:
        DataNotAtHand, DataUnreadable, CompletionsProblem, TextProblem: it cannot be read.
    """
    text = loaded.manifest.data.text
    if text is None:
        return CompletionMatter(load_split(loaded, data=data))
    return TextMatter(load_document_split(loaded, data=data), text)


@dataclass(frozen=True)
class CompletionMatter:
    """Labelled completions; a passage is one of them."""

    split: Split
    unit: str = "completions"

    @property
    def ids(self) -> tuple[list[str], list[str]]:
        """See `ReadingMatter.ids`."""
        return [row.id for row in self.split.train], [row.id for row in self.split.held_out]

    def passages(self, tokenizer: PreTrainedTokenizerBase) -> tuple[list[Passage], list[Passage]]:
        """See `ReadingMatter.passages`."""
        train = passages_of_completions(tokenizer, self.split.train)
        return train, passages_of_completions(tokenizer, self.split.held_out)

    def rows(
        self, conditions: Mapping[str, Condition], n_vectors: NDArray[np.int64]
    ) -> dict[str, Tensor | None]:
        """See `ReadingMatter.rows`."""
        every = np.arange(int(n_vectors.sum()), dtype=np.int64)
        found: dict[str, Tensor | None] = {}
        for name, condition in conditions.items():
            wanted = every[np.repeat(_has_label(self.split.train, condition), n_vectors)]
            found[name] = None if len(wanted) == len(every) else torch.from_numpy(wanted)
        return found

    def held_out(
        self, conditions: Mapping[str, Condition], n_vectors: NDArray[np.int64]
    ) -> dict[str, int]:
        """See `ReadingMatter.held_out`."""
        return {
            name: int(n_vectors[_has_label(self.split.held_out, condition)].sum())
            for name, condition in conditions.items()
        }


@dataclass(frozen=True)
class TextMatter:
    """Documents without labels; a passage is one context of one of them."""

    split: DocumentSplit
    text: PlainText
    unit: str = "documents"

    @property
    def ids(self) -> tuple[list[str], list[str]]:
        """See `ReadingMatter.ids`."""
        return [one.id for one in self.split.train], [one.id for one in self.split.held_out]

    def passages(self, tokenizer: PreTrainedTokenizerBase) -> tuple[list[Passage], list[Passage]]:
        """See `ReadingMatter.passages`."""
        train = passages_of_documents(tokenizer, self.split.train, self.text)
        return train, passages_of_documents(tokenizer, self.split.held_out, self.text)

    def rows(
        self,
        conditions: Mapping[str, Condition],
        n_vectors: NDArray[np.int64],  # noqa: ARG002
    ) -> dict[str, Tensor | None]:
        """See `ReadingMatter.rows`."""
        return dict.fromkeys(conditions)

    def held_out(
        self, conditions: Mapping[str, Condition], n_vectors: NDArray[np.int64]
    ) -> dict[str, int]:
        """See `ReadingMatter.held_out`."""
        return dict.fromkeys(conditions, int(n_vectors.sum()))


def _has_label(rows: Sequence[Completion], condition: Condition) -> NDArray[np.bool_]:
    return np.array([row.label in condition.labels for row in rows], dtype=np.bool_)
