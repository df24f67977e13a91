"""How much memory capturing activations takes: the base model and one batch of its states."""

from __future__ import annotations

from dataclasses import dataclass

from manifests.base_model import BaseModelSpec, Precision, PrecisionName
from retrain.activations.budget import (
    MAX_BATCH_TOKENS,
    MAX_BATCH_TOKENS_CUDA,
    MIN_BATCH_TOKENS,
    SHARD_BYTES,
    token_bytes,
    weight_bytes,
)
from retrain.planning.memory import CUDA_CONTEXT, PROCESS
from retrain.planning.sizes import Need, Term

# Bytes of one weight. int8: LLM.int8 keeps one float32 scale for each row, below 1 in 1000 of the
# weights. fp4, nf4: half a byte, and a float32 scale for each block of 64 (4 / 64 = 0.0625).
# With double quantisation the scale is one byte, with a float32 for each 256 of them
# (1 / 64 + 4 / (64 * 256) = 0.0159).
_WEIGHT: dict[PrecisionName, float] = {
    "fp32": 4.0,
    "fp16": 2.0,
    "bf16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    "fp4": 0.5625,
    "nf4": 0.5625,
}
_DOUBLY_QUANTISED = 0.5 + 1 / 64 + 4 / (64 * 256)
# Shards in memory at a time: the one being filled, and the one being written.
_SHARDS = 2


@dataclass(frozen=True)
class BaseModelSize:
    """Weights of a base model, and how many of them int8, fp4 and nf4 leave as they are.

    Those are embeddings, output head and norms.
    """

    n_parameters: int
    n_unquantised: int


@dataclass(frozen=True)
class Capture:
    """What is captured: from which model, at how many hooks; `size` is None where unknown."""

    base_model: BaseModelSpec
    size: BaseModelSize | None
    n_hooks: int

    def weights_bytes(self) -> int:
        """The base model's weights; of an unknown size, what its shape lets expect."""
        if self.size is None:
            return weight_bytes(self.base_model)
        return weights_bytes(self.size, self.base_model.precision)


def weights_bytes(size: BaseModelSize, precision: Precision) -> int:
    """A base model's weights in a precision; what is not quantised is held as it computes."""
    each = _DOUBLY_QUANTISED if precision.double_quantization else _WEIGHT[precision.weights]
    n_quantised = size.n_parameters - size.n_unquantised
    return round(n_quantised * each + size.n_unquantised * _WEIGHT[precision.compute])


def capture_need(capture: Capture, *, n_tokens: int, is_cuda: bool, budget: int | None) -> Need:
    """What a forward pass over `n_tokens` at a time takes, without output head.

    The vectors are collected in the memory of the process, which on CUDA is not the budget's.
    """
    shard = SHARD_BYTES if budget is None else min(SHARD_BYTES, budget // 16)
    each = token_bytes(capture.base_model, n_hooks=capture.n_hooks)
    return Need(
        (
            Term("CUDA context", CUDA_CONTEXT) if is_cuda else Term("process", PROCESS),
            Term("base model", capture.weights_bytes()),
            Term("states of a batch", n_tokens * each),
            Term("shards", 0 if is_cuda else _SHARDS * shard),
        )
    )


def least_need(capture: Capture, *, is_cuda: bool, budget: int | None) -> Need:
    """What it takes with the smallest batches that are planned."""
    return capture_need(capture, n_tokens=MIN_BATCH_TOKENS, is_cuda=is_cuda, budget=budget)


def planned_need(capture: Capture, *, is_cuda: bool, budget: int | None) -> Need:
    """What it takes with the batches that the budget allows.

    A power of two of tokens, as `capture_limits` chooses.
    """
    if budget is None:
        return capture_need(capture, n_tokens=MAX_BATCH_TOKENS, is_cuda=is_cuda, budget=None)
    n_tokens = MAX_BATCH_TOKENS_CUDA if is_cuda else MAX_BATCH_TOKENS
    while n_tokens > MIN_BATCH_TOKENS:
        need = capture_need(capture, n_tokens=n_tokens, is_cuda=is_cuda, budget=budget)
        if need.size_bytes <= budget:
            return need
        n_tokens //= 2
    return least_need(capture, is_cuda=is_cuda, budget=budget)
