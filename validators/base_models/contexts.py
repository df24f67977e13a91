"""The exact tokens of a document, cut into the contexts in which a base model reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.data import PlainText

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def context_token_ids(
    tokenizer: PreTrainedTokenizerBase, document: str, text: PlainText
) -> list[list[int]]:
    """Consecutive contexts of `text.context_size` tokens at most, each from the same document.

    Every one starts with the beginning-of-sequence token where `text.prepend_bos` asks for it and
    the tokenizer has one. The last may be shorter; one that `text.skip_first` would leave nothing
    of is dropped. Positions from `text.skip_first` on are those that give a vector.
    """
    bos = tokenizer.bos_token_id if text.prepend_bos else None
    start = [] if bos is None else [int(bos)]
    # Not verbose: that a document is longer than the model's own context is what the cut is for.
    ids = tokenizer.encode(document, add_special_tokens=False, verbose=False)
    step = text.context_size - len(start)
    contexts = (
        [*start, *(int(token) for token in ids[at : at + step])] for at in range(0, len(ids), step)
    )
    return [context for context in contexts if len(context) > text.skip_first]
