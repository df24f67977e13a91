"""How many tokens go through the base model at once, and how many vectors make a shard."""

from __future__ import annotations

from dataclasses import dataclass

from manifests.base_model import BaseModelSpec
from manifests.errors import ReleaseError

# On a CPU larger batches gained nothing.
MAX_BATCH_TOKENS = 2_048
MAX_BATCH_TOKENS_CUDA = 16_384
MIN_BATCH_TOKENS = 128
SHARD_BYTES = 256 * 2**20
# Of models whose size is not stated; larger than most, since it is what has to fit.
_VOCABULARY = 128_000
# Numbers for each token while one block runs, in widths of the residual stream: the stream and
# its sum, norms, queries, keys, values, attention's output, and three of the MLP's inner width,
# which is at most six times as wide in the families of manifests/hooks.py.
_WORKING_SET = 8 + 3 * 6
_WEIGHT_BYTES = {"fp32": 4.0, "fp16": 2.0, "bf16": 2.0, "int8": 1.0, "fp4": 0.57, "nf4": 0.57}
_COMPUTE_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


class CaptureDoesNotFit(ReleaseError):
    """The base model and one small batch need more memory than there may be used."""

    exit_code = 2


@dataclass(frozen=True)
class CaptureLimits:
    """`batch_tokens`: padded tokens of one pass; `shard_vectors`: vectors of one shard."""

    batch_tokens: int
    shard_vectors: int


def capture_limits(
    spec: BaseModelSpec,
    *,
    n_hooks: int,
    device: str,
    memory_bytes: int | None,
    weights_bytes: int | None = None,
) -> CaptureLimits:
    """The limits of a capture.

    Both are powers of two, so that a budget that is a little larger or smaller gives the very
    same vectors. A shard takes at most a sixteenth of the budget.

    Args:
        spec: the base model.
        n_hooks: places that are read.
        device: where it runs.
        memory_bytes: what it may take; None: no limit.
        weights_bytes: of its weights, where they are known; None: estimated by its shape.

    Raises:
        CaptureDoesNotFit: the weights leave no room for `MIN_BATCH_TOKENS` tokens.
    """
    shard_bytes = SHARD_BYTES if memory_bytes is None else min(SHARD_BYTES, memory_bytes // 16)
    shard_vectors = _power_of_two(shard_bytes // (n_hooks * spec.d_model * 4))
    if memory_bytes is None:
        return CaptureLimits(MAX_BATCH_TOKENS, shard_vectors)
    most = MAX_BATCH_TOKENS_CUDA if device.startswith("cuda") else MAX_BATCH_TOKENS
    # Vectors are collected in the memory of the process, which is the budget's on a CPU only.
    reserved = 0 if device.startswith("cuda") else 2 * shard_bytes
    weights = weight_bytes(spec) if weights_bytes is None else weights_bytes
    room = memory_bytes - weights - reserved
    each = token_bytes(spec, n_hooks=n_hooks)
    tokens = room // each
    if tokens < MIN_BATCH_TOKENS:
        raise CaptureDoesNotFit(
            f"the base model takes about {weights / 1e9:.2f} GB and a batch of "
            f"{MIN_BATCH_TOKENS} tokens {MIN_BATCH_TOKENS * each / 1e9:.2f} GB",
            where="hardware.target.memory_gb",
            expected=f"no more than {memory_bytes / 1e9:.2f} GB in all",
            next_step="raise the budget, or state a smaller precision",
        )
    return CaptureLimits(min(most, _power_of_two(tokens)), shard_vectors)


def weight_bytes(spec: BaseModelSpec) -> int:
    """About how many bytes the weights take: 12 n_layers d_model² in blocks, and the embeddings.

    Embeddings are not quantised. Where the manifest does not state the number of parameters, two
    large ones are assumed.
    """
    blocks = 12 * spec.n_layers * spec.d_model**2
    embeddings = 2 * _VOCABULARY * spec.d_model
    if spec.n_parameters is not None:
        blocks = min(blocks, spec.n_parameters)
        embeddings = spec.n_parameters - blocks
    precision = spec.precision
    outside = _COMPUTE_BYTES[precision.compute]
    return int(blocks * _WEIGHT_BYTES[precision.weights] + embeddings * outside)


def token_bytes(spec: BaseModelSpec, *, n_hooks: int) -> int:
    """Bytes that one token of a batch takes: keys and values, one block at work, what is kept."""
    widths = 2 * spec.n_layers + _WORKING_SET + n_hooks
    return widths * spec.d_model * _COMPUTE_BYTES[spec.precision.compute]


def _power_of_two(most: int) -> int:
    """The largest one that is not above `most`; 1 at least."""
    return 1 << (max(1, most).bit_length() - 1)
