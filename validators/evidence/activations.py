"""Activations of the base model: one forward pass serves every place.

Kept apart from the trainer's capture on purpose: two implementations can disagree, one cannot.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from manifests.completions import Completion
from manifests.data import Pooling
from manifests.progress import Progress
from validators.base_models.base_model import BaseModel, completion_token_ids
from validators.evidence.place_reader import PlaceReader
from validators.places.place import Place

if TYPE_CHECKING:
    from torch import Tensor

Vectors = NDArray[np.float32]

# Bounds the memory of one pass; larger batches gained nothing on a CPU.
_ROWS_PER_PASS = 16


@dataclass(frozen=True)
class CapturedActivations:
    """Vectors that were read at each place.

    Attributes:
        vectors: [rows, width] by place; only places that were read in every pass.
        calls: how many sequences each place saw.
        missing: places whose module the model does not have.
        n_passes: sequences that went through the base model.
        sizes: how many of the rows each sequence gave, in order; empty where that is not known.
    """

    vectors: dict[Place, Vectors]
    calls: dict[Place, int]
    missing: frozenset[Place]
    n_passes: int
    sizes: tuple[int, ...] = ()


def capture_completions(
    base: BaseModel,
    completions: Sequence[Completion],
    places: frozenset[Place],
    pooling: Pooling,
    progress: Progress,
) -> CapturedActivations:
    """Run the base model over completions and keep the vectors of each at every place.

    Nothing is padded: completions of one prompt and one length share a pass. They also share the
    keys and values of their prompt, which is most of the work where many short answers to one
    prompt are read; causal attention makes that the same computation up to the order of
    floating-point sums.

    Args:
        base: the model and its tokenizer.
        completions: what to read; the result has one completion's rows after another's.
        places: where to read; unknown ones are reported, not raised.
        pooling: `last_token`: the completion's last position; `completion_mean`: the mean over
            the completion's positions; `every_token`: each of them.
        progress: counts completions.
    """
    with PlaceReader(base, places) as reader:
        pooled: dict[Place, dict[int, Vectors]] = {place: {} for place in reader.places}
        with progress.task("reading activations", total=len(completions)) as task:
            groups = _by_prompt(base, completions) if pooled else {}
            for prompt_ids, rows in groups.items():
                for batch, n_prompt in _passes(reader, prompt_ids, rows):
                    for place, output in reader.outputs.items():
                        for row, own in zip(batch, output, strict=True):
                            pooled[place][row] = _pool(own, n_prompt, pooling)
                    task.advance(len(batch))
    return _in_order(reader, pooled, len(completions))


def capture_contexts(
    base: BaseModel,
    contexts: Sequence[Sequence[int]],
    places: frozenset[Place],
    progress: Progress,
) -> CapturedActivations:
    """Run the base model over token sequences and keep the vectors of all their positions.

    Args:
        base: the model.
        contexts: token ids; the rows of the result are their positions, one context after another.
        places: where to read; unknown ones are reported, not raised.
        progress: counts contexts.
    """
    with PlaceReader(base, places) as reader:
        found: dict[Place, dict[int, Vectors]] = {place: {} for place in reader.places}
        with progress.task("reading activations", total=len(contexts)) as task:
            rows = [(row, list(ids)) for row, ids in enumerate(contexts)] if found else []
            for batch in _of_equal_length(rows):
                reader.run([ids for _, ids in batch])
                for place, output in reader.outputs.items():
                    for (row, _), own in zip(batch, output, strict=True):
                        found[place][row] = _as_vectors(own)
                task.advance(len(batch))
    return _in_order(reader, found, len(contexts))


def _in_order(
    reader: PlaceReader, found: dict[Place, dict[int, Vectors]], n_sequences: int
) -> CapturedActivations:
    """The rows of each sequence, one sequence after another, at the places that were always read.

    Args:
        reader: whose places and counts they are.
        found: [rows, width] by place and sequence.
        n_sequences: how many there are.
    """
    whole = {place: own for place, own in found.items() if len(own) == n_sequences > 0}
    first: dict[int, Vectors] = next(iter(whole.values()), {})
    return CapturedActivations(
        vectors={
            place: np.concatenate([own[row] for row in range(n_sequences)])
            for place, own in whole.items()
        },
        calls=reader.calls,
        missing=reader.missing,
        n_passes=n_sequences,
        sizes=tuple(len(first[row]) for row in sorted(first)),
    )


def _by_prompt(
    base: BaseModel, completions: Sequence[Completion]
) -> dict[tuple[int, ...], list[tuple[int, list[int]]]]:
    """Prompt tokens -> (row, completion tokens) of each completion of that prompt."""
    groups: dict[tuple[int, ...], list[tuple[int, list[int]]]] = {}
    for row, completion in enumerate(completions):
        input_ids, n_prompt = completion_token_ids(base.tokenizer, completion)
        group = groups.setdefault(tuple(input_ids[:n_prompt]), [])
        group.append((row, input_ids[n_prompt:]))
    return groups


def _passes(
    reader: PlaceReader,
    prompt_ids: tuple[int, ...],
    rows: Sequence[tuple[int, list[int]]],
) -> Iterator[tuple[list[int], int]]:
    """Run the completions of one prompt, leaving what was read in the reader.

    Yields:
        batch: the rows whose outputs [batch, positions, width] are there now.
        n_prompt: how many of the positions belong to the prompt.
    """
    from transformers import DynamicCache

    if len(rows) == 1:
        ((row, own_ids),) = rows
        reader.run([[*prompt_ids, *own_ids]])
        yield [row], len(prompt_ids)
        return
    prompt_cache = DynamicCache()
    # The prompt alone is no completion: its pass does not count.
    reader.run([list(prompt_ids)], cache=prompt_cache, counted=False)
    for batch in _of_equal_length(rows):
        cache = copy.deepcopy(prompt_cache)
        cache.batch_repeat_interleave(len(batch))
        reader.run([own_ids for _, own_ids in batch], cache=cache)
        yield [row for row, _ in batch], 0


def _of_equal_length(
    rows: Sequence[tuple[int, list[int]]],
) -> Iterator[list[tuple[int, list[int]]]]:
    """Rows in batches of equal length, at most `_ROWS_PER_PASS` each."""
    by_length: dict[int, list[tuple[int, list[int]]]] = {}
    for row in rows:
        by_length.setdefault(len(row[1]), []).append(row)
    for _, same in sorted(by_length.items()):
        for start in range(0, len(same), _ROWS_PER_PASS):
            yield same[start : start + _ROWS_PER_PASS]


def _pool(output: Tensor, n_prompt: int, pooling: Pooling) -> Vectors:
    """The vectors [rows, width] of an output [positions, ..., width]."""
    positions = _as_vectors(output)
    if pooling == "last_token":
        return np.array(positions[-1:], dtype=np.float32)
    own = positions[n_prompt:]
    if pooling == "completion_mean":
        own = own.mean(axis=0, keepdims=True)
    return np.array(own, dtype=np.float32)


def _as_vectors(output: Tensor) -> Vectors:
    """[positions, width] in float32; heads of an output [positions, heads, d_head] side by side."""
    vectors = output.float().flatten(start_dim=1).cpu().numpy()
    return np.asarray(vectors, dtype=np.float32)
