"""Which passages share a forward pass, and which passes share a shard.

The plan depends on the passages and two limits alone, so a capture that was killed goes on with
the very passes that an uninterrupted one would have made. What a batch holds decides the last
bits of its vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manifests.data import Pooling
from retrain.activations.passages import Passage


@dataclass(frozen=True)
class Batch:
    """Passages of one prompt, by index, that run together."""

    prompt: tuple[int, ...]
    members: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Plan:
    """All passes of a capture.

    Attributes:
        shards: the batches whose vectors are kept in one shard, shard by shard.
        shard_vectors: how many vectors each shard holds.
        order: [vectors] int64; vector i, counted passage after passage, is the `order[i]`-th one,
            counted in the order in which the passes give them.
    """

    shards: tuple[tuple[Batch, ...], ...]
    shard_vectors: tuple[int, ...]
    order: NDArray[np.int64]


def plan(
    passages: Sequence[Passage], pooling: Pooling, *, max_batch_tokens: int, max_shard_vectors: int
) -> Plan:
    """Decide on the passes.

    Passages of one prompt are batched by length over the whole data. Those without a prompt are
    as many as the text is long, and are batched by length within each shard, so that neighbours
    in the text stay neighbours on the disk.

    Args:
        passages: what is read.
        pooling: how many vectors each gives.
        max_batch_tokens: padded tokens of one batch at most, the prompt not counted; a batch has
            one passage at least.
        max_shard_vectors: vectors of one shard at most; a shard has one batch at least.
    """
    sizes = [passage.n_vectors(pooling) for passage in passages]
    shards: list[tuple[Batch, ...]] = []
    for prompt, members in _by_prompt(passages).items():
        windows = [members] if prompt else _windows(members, sizes, max_shard_vectors)
        for window in windows:
            batches = [Batch(prompt, rows) for rows in _batches(passages, window, max_batch_tokens)]
            shards += _packed(batches, sizes, max_shard_vectors)
    shards = _merged(shards, sizes, max_shard_vectors)
    counts = tuple(sum(_n_vectors(batch, sizes) for batch in shard) for shard in shards)
    return Plan(tuple(shards), counts, _order(shards, sizes))


def _by_prompt(passages: Sequence[Passage]) -> dict[tuple[int, ...], list[int]]:
    found: dict[tuple[int, ...], list[int]] = {}
    for index, passage in enumerate(passages):
        found.setdefault(passage.prompt, []).append(index)
    return found


def _windows(members: list[int], sizes: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Consecutive passages that fill a shard."""
    window: list[int] = []
    n_vectors = 0
    for index in members:
        if window and n_vectors + sizes[index] > limit:
            yield window
            window, n_vectors = [], 0
        window.append(index)
        n_vectors += sizes[index]
    if window:
        yield window


def _batches(
    passages: Sequence[Passage], members: Sequence[int], max_batch_tokens: int
) -> Iterator[tuple[int, ...]]:
    """Members by length, cut where the padded batch would pass the limit."""
    batch: list[int] = []
    for index in sorted(members, key=lambda index: (len(passages[index].own), index)):
        if batch and len(passages[index].own) * (len(batch) + 1) > max_batch_tokens:
            yield tuple(batch)
            batch = []
        batch.append(index)
    if batch:
        yield tuple(batch)


def _packed(
    batches: Sequence[Batch], sizes: Sequence[int], limit: int
) -> Iterator[tuple[Batch, ...]]:
    shard: list[Batch] = []
    n_vectors = 0
    for batch in batches:
        if shard and n_vectors + _n_vectors(batch, sizes) > limit:
            yield tuple(shard)
            shard, n_vectors = [], 0
        shard.append(batch)
        n_vectors += _n_vectors(batch, sizes)
    if shard:
        yield tuple(shard)


def _merged(
    shards: Sequence[tuple[Batch, ...]], sizes: Sequence[int], limit: int
) -> list[tuple[Batch, ...]]:
    """Neighbouring shards put together where both fit: many prompts have few completions each."""
    merged: list[list[Batch]] = []
    n_vectors = 0
    for shard in shards:
        own = sum(_n_vectors(batch, sizes) for batch in shard)
        if merged and n_vectors + own <= limit:
            merged[-1] += shard
            n_vectors += own
        else:
            merged.append(list(shard))
            n_vectors = own
    return [tuple(shard) for shard in merged]


def _n_vectors(batch: Batch, sizes: Sequence[int]) -> int:
    return sum(sizes[index] for index in batch.members)


def _order(shards: Sequence[tuple[Batch, ...]], sizes: Sequence[int]) -> NDArray[np.int64]:
    starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    order = np.empty(int(starts[-1]), dtype=np.int64)
    at = 0
    for shard in shards:
        for batch in shard:
            for index in batch.members:
                order[starts[index] : starts[index + 1]] = np.arange(at, at + sizes[index])
                at += sizes[index]
    return order
