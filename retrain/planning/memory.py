"""How much memory training takes: SAEs of one shape, trained side by side.

Every number is in bytes and computed from shapes alone; arrays are float32. A name for each:

    parameters        W_enc, W_dec [d_sae, d_in], biases and thresholds
    moments           Adam's two running means of each parameter
    gradients         accumulated over parts of a batch: as large as the parameters. Otherwise they
                      are made and used up in blocks of rows: on CUDA a whole dictionary at a time
    spare dictionary  the random one to begin with; in the end W_enc the other way round, for its
                      file
    recording         CUDA: what a step changes, kept while its kernels are recorded as a graph
    working arrays    [micro_batch, d_sae], see WORKING_ARRAYS
    inputs            [micro_batch, d_in], see INPUT_ARRAYS
    vectors           the scaled activations, where they are resident; else the batches under way
    process, CUDA context   what is there before the first array
"""

from __future__ import annotations

from dataclasses import dataclass

from manifests.sae_recipes import Architecture
from retrain.planning.sizes import Need, Term

FLOAT = 4
# Python with torch and transformers imported; a CUDA context with cuBLAS' workspaces.
PROCESS = 500_000_000
CUDA_CONTEXT = 500_000_000
# Gradients of a block of rows on a CPU, which stay in its caches.
ROW_BLOCK = 8 * 2**20


@dataclass(frozen=True)
class WorkingArrays:
    """Arrays of [micro_batch, d_sae] of an architecture's step.

    kept: made once. cpu, cuda: made and dropped within a step, at its peak.
    """

    kept: float
    cpu: float
    cuda: float


# The products into and out of d_sae, latents and masks, straight-through terms, and what finding
# the largest entries takes: BatchTopK on a CPU sorts 16 bytes for each entry of the batch.
WORKING_ARRAYS: dict[Architecture, WorkingArrays] = {
    "topk": WorkingArrays(2, 6, 8),
    "jumprelu": WorkingArrays(4, 3, 3),
    "gated": WorkingArrays(5, 3, 3),
    "batchtopk": WorkingArrays(2, 9, 10),
    "matryoshka_batchtopk": WorkingArrays(2, 9, 10),
    "standard": WorkingArrays(3, 3, 3),
}
# On CUDA a step's temporary arrays stay reserved: for the first, unrecorded steps, and for the
# graphs of a whole batch and of the last one of an epoch, which is smaller.
RECORDINGS = 3
# Arrays of [micro_batch, d_in]: the batch as taken and as scaled, centred, errors, gradients.
INPUT_ARRAYS = 7
# While vectors are read, as chunks, whole, and beside those of the other SAEs.
VECTOR_COPIES_ON_CPU = 2
# Vectors of [d_sae] besides the two dictionaries: biases, gains, thresholds, counts.
SMALL_ARRAYS = 4
# Batches on their way to the device while one is computed.
STREAMED_BATCHES = 2

# Their latents compete over the whole batch, so that it cannot be computed in parts.
WHOLE_BATCH: frozenset[Architecture] = frozenset({"batchtopk", "matryoshka_batchtopk"})


@dataclass(frozen=True)
class Group:
    """SAEs of one recipe and shape, on the vectors of one hook: what may be trained together."""

    architecture: Architecture
    d_in: int
    d_sae: int
    n_saes: int
    batch_size: int
    n_vectors: int

    @property
    def largest_batch(self) -> int:
        """Vectors of the largest batch."""
        return min(self.batch_size, self.n_vectors)


def training_need(
    group: Group, *, n_together: int, micro_batch: int, resident: bool, is_cuda: bool
) -> Need:
    """What training `n_together` SAEs of the group takes.

    Args:
        group: their architecture and shape.
        n_together: how many are trained as one batch.
        micro_batch: vectors computed at a time.
        resident: whether all vectors are held where it computes.
        is_cuda: whether that is a GPU, of whose memory this is then.
    """
    dictionary = group.d_in * group.d_sae * FLOAT
    parameters = 2 * dictionary + (SMALL_ARRAYS * group.d_sae + group.d_in) * FLOAT
    is_accumulated = micro_batch < group.largest_batch
    # Both dictionaries' gradients where one block holds a dictionary, else one block.
    row_block = 2 * dictionary if is_cuda or dictionary <= ROW_BLOCK else ROW_BLOCK
    arrays = WORKING_ARRAYS[group.architecture]
    n_arrays = arrays.kept + (RECORDINGS * arrays.cuda if is_cuda else arrays.cpu)
    vectors = group.n_vectors * group.d_in * FLOAT * (1 if is_cuda else VECTOR_COPIES_ON_CPU)
    streamed = STREAMED_BATCHES * group.largest_batch * group.d_in * FLOAT
    each = {
        "vectors": vectors if resident else streamed,
        "parameters": parameters,
        "moments": 2 * parameters,
        "gradients": row_block + (2 * dictionary if is_accumulated else 0),
        "spare dictionary": dictionary,
        "recording": 3 * parameters if is_cuda else 0,
        "working arrays": int(n_arrays * micro_batch * group.d_sae * FLOAT),
        "inputs": INPUT_ARRAYS * micro_batch * group.d_in * FLOAT,
    }
    base = Term("CUDA context", CUDA_CONTEXT) if is_cuda else Term("process", PROCESS)
    return Need((base, *(Term(name, n_together * size) for name, size in each.items())))
