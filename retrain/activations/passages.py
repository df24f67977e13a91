"""What runs through the base model: completions after their prompts, or contexts of a text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from manifests.completions import Completion
from manifests.data import PlainText, Pooling
from manifests.documents import Document
from validators.base_models.base_model import completion_token_ids
from validators.base_models.contexts import context_token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, eq=False)
class Passage:
    """One sequence of tokens.

    Attributes:
        prompt: tokens that give no vector and that other passages may share; none in a text.
        own: [tokens] int32, the tokens after them.
        skip: how many of `own`, from its start, give no vector.
    """

    prompt: tuple[int, ...]
    own: NDArray[np.int32]
    skip: int = 0

    @property
    def n_tokens(self) -> int:
        """All tokens."""
        return len(self.prompt) + len(self.own)

    def n_vectors(self, pooling: Pooling) -> int:
        """One where the positions are pooled; else one of each position that is not skipped."""
        return len(self.own) - self.skip if pooling == "every_token" else 1


def passages_of_completions(
    tokenizer: PreTrainedTokenizerBase, completions: Iterable[Completion]
) -> list[Passage]:
    """One passage of each completion; completions of one prompt share its tuple."""
    prompts: dict[tuple[int, ...], tuple[int, ...]] = {}
    found = []
    for completion in completions:
        ids, n_prompt = completion_token_ids(tokenizer, completion)
        prompt = tuple(ids[:n_prompt])
        own = np.array(ids[n_prompt:], dtype=np.int32)
        found.append(Passage(prompts.setdefault(prompt, prompt), own))
    return found


def passages_of_documents(
    tokenizer: PreTrainedTokenizerBase, documents: Iterable[Document], text: PlainText
) -> list[Passage]:
    """The contexts of each document, one document after another."""
    return [
        Passage((), np.array(context, dtype=np.int32), skip=text.skip_first)
        for document in documents
        for context in context_token_ids(tokenizer, document.text, text)
    ]
