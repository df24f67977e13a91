"""Which passages share a pass and a shard, and how many fit the memory."""

from typing import Any

import numpy as np
import pytest

from manifests.base_model import BaseModelSpec
from retrain.activations.batches import Plan, plan
from retrain.activations.budget import (
    MAX_BATCH_TOKENS,
    CaptureDoesNotFit,
    capture_limits,
    token_bytes,
    weight_bytes,
)
from retrain.activations.passages import Passage


def passages(*lengths: int, prompt: tuple[int, ...] = ()) -> list[Passage]:
    return [Passage(prompt, np.zeros(n, dtype=np.int32)) for n in lengths]


def members(passes: Plan) -> list[list[tuple[int, ...]]]:
    return [[batch.members for batch in shard] for shard in passes.shards]


def test_completions_of_one_prompt_are_batched_by_length_over_the_whole_data() -> None:
    rows = passages(5, 1, 4, 2, prompt=(1,))
    passes = plan(rows, "last_token", max_batch_tokens=8, max_shard_vectors=100)
    # Lengths 1 and 2: 2 * 2 = 4; with the 4 it would be 4 * 3 = 12. 4 and 5: 2 * 5 = 10 is too
    # much as well.
    assert members(passes) == [[(1, 3), (2,), (0,)]]
    # Vectors come out for 1, 3, 2, 0; so the first passage's is the last.
    assert passes.order.tolist() == [3, 0, 2, 1]


def test_a_shard_holds_whole_batches_up_to_its_limit() -> None:
    rows = passages(*[2] * 7, prompt=(1,))
    passes = plan(rows, "last_token", max_batch_tokens=4, max_shard_vectors=5)
    # Batches of 2 passages, one vector each: 2 + 2 fit into 5, the third would make 6.
    assert members(passes) == [[(0, 1), (2, 3)], [(4, 5), (6,)]]
    assert passes.shard_vectors == (4, 3)


def test_contexts_are_batched_within_their_stretch_of_the_text() -> None:
    passes = plan(passages(4, 2, 4, 4, 1), "every_token", max_batch_tokens=8, max_shard_vectors=10)
    # 4 + 2 + 4 = 10 vectors fill a shard; in it, the short one comes first, and two of at most 4
    # tokens, padded, fit into 8.
    assert members(passes) == [[(1, 0), (2,)], [(4, 3)]]
    assert passes.shard_vectors == (10, 5)
    assert passes.order.tolist() == [2, 3, 4, 5, 0, 1, 6, 7, 8, 9, 11, 12, 13, 14, 10]


def test_many_prompts_share_a_shard() -> None:
    rows = [passages(2, prompt=(number,))[0] for number in range(5)]
    passes = plan(rows, "every_token", max_batch_tokens=100, max_shard_vectors=4)
    assert passes.shard_vectors == (4, 4, 2)
    assert passes.order.tolist() == list(range(10))


def test_a_passage_above_every_limit_still_runs() -> None:
    passes = plan(passages(50, 50), "every_token", max_batch_tokens=8, max_shard_vectors=8)
    assert members(passes) == [[(0,)], [(1,)]]


def a_model(**changes: Any) -> BaseModelSpec:
    stated = {"id": "a/b", "model_type": "llama", "n_layers": 10, "d_model": 100}
    return BaseModelSpec.model_validate(stated | changes)


def limits(memory_bytes: int | None, device: str = "cpu", **changes: Any) -> tuple[int, int]:
    found = capture_limits(a_model(**changes), n_hooks=2, device=device, memory_bytes=memory_bytes)
    return found.batch_tokens, found.shard_vectors


def test_the_weights_are_counted_by_their_formats() -> None:
    # Blocks: 12 * 10 * 100² = 1,200,000; two embeddings of 128,000 * 100 = 25,600,000.
    assert weight_bytes(a_model()) == 4 * (1_200_000 + 25_600_000)
    # 1,500,000 in all leave 300,000 outside the blocks; int8 and 2 bytes.
    int8 = {"weights": "int8", "compute": "fp16"}
    assert weight_bytes(a_model(n_parameters=1_500_000, precision=int8)) == 1_200_000 + 600_000


def test_a_token_takes_its_keys_and_values_and_what_one_block_works_with() -> None:
    # Keys and values of 10 layers, 26 widths of a working block, 2 hooks: (20 + 26 + 2) * 100 * 4.
    assert token_bytes(a_model(), n_hooks=2) == 48 * 100 * 4


def test_without_a_budget_batches_have_the_usual_size() -> None:
    # 256 MiB / (2 hooks * 100 * 4 bytes) = 335,544 vectors; the power of two below is 2^18.
    assert limits(None) == (MAX_BATCH_TOKENS, 1 << 18)


def test_a_budget_makes_batches_smaller_by_powers_of_two() -> None:
    small = {"n_parameters": 1_500_000}  # 6 MB in float32
    # 40 MB - 6 MB of weights - 2 * 2.5 MB of shards = 29 MB; / 19,200 bytes = 1510 tokens.
    assert limits(40_000_000, **small) == (1024, 1 << 11)
    # A little more or less gives the very same batches.
    assert limits(41_000_000, **small) == limits(40_000_000, **small)
    assert limits(10_000_000_000, **small)[0] == MAX_BATCH_TOKENS
    assert limits(10_000_000_000, device="cuda:0", **small)[0] == 16_384


def test_a_model_that_leaves_no_room_is_refused_with_the_numbers() -> None:
    with pytest.raises(CaptureDoesNotFit, match=r"about 0\.11 GB.*a batch of 128 tokens 0\.00 GB"):
        limits(100_000_000)
