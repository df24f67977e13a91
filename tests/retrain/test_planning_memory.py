"""The bytes of training and of capturing, worked by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.base_model import BaseModelSpec, Precision
from retrain.planning.capture import (
    BaseModelSize,
    Capture,
    capture_need,
    planned_need,
    weights_bytes,
)
from retrain.planning.memory import WORKING_ARRAYS, Group, training_need
from retrain.planning.sizes import Need, Term, shown_bytes

SMOLLM2_TOPK = Group("topk", d_in=576, d_sae=2304, n_saes=9, batch_size=128, n_vectors=2000)
TINYLLAMA = BaseModelSize(n_parameters=1_100_048_384, n_unquantised=131_164_160)


def need(group: Group = SMOLLM2_TOPK, **changes: Any) -> Need:
    options = {"n_together": 1, "micro_batch": 128, "resident": True, "is_cuda": False}
    return training_need(group, **(options | changes))


def test_one_topk_sae_on_a_cpu() -> None:
    found = {term.name: term.size_bytes for term in need().terms}
    assert found == {
        "process": 500_000_000,
        # 2000 vectors * 576 * 4 bytes, twice while they are read.
        "vectors": 9_216_000,
        # A dictionary is 576 * 2304 * 4 = 5,308,416; two of them, and
        # (4 * 2304 + 576) * 4 = 39,168 for biases, thresholds and counts.
        "parameters": 10_656_000,
        # Twice the parameters.
        "moments": 21_312_000,
        # Blocks of rows of 8 MiB; a dictionary is smaller than one, so both are made at once.
        "gradients": 10_616_832,
        "spare dictionary": 5_308_416,
        "recording": 0,
        # (2 kept + 6) arrays of 128 * 2304 * 4 = 1,179,648.
        "working arrays": 9_437_184,
        # 7 arrays of 128 * 576 * 4 = 294,912.
        "inputs": 2_064_384,
    }
    assert need().size_bytes == 568_610_816


def test_accumulated_gradients_are_held_whole() -> None:
    accumulated = need(micro_batch=32)
    # Made of a part and summed up, for both dictionaries: 4 * 5,308,416.
    assert accumulated.of("gradients") == 21_233_664
    # A quarter of the whole batch's 9,437,184 and 2,064,384.
    assert accumulated.of("working arrays") == 2_359_296
    assert accumulated.of("inputs") == 516_096


def test_a_batch_of_all_vectors_is_not_accumulated() -> None:
    # 38 vectors make one batch of 38, although 128 were asked for.
    few = Group("topk", d_in=576, d_sae=2304, n_saes=1, batch_size=128, n_vectors=38)
    assert need(few, micro_batch=38).of("gradients") == 10_616_832


def test_cuda_holds_a_gradient_of_all_rows_and_a_copy_for_recording() -> None:
    on_cuda = need(is_cuda=True, n_together=2)
    assert on_cuda.of("CUDA context") == 500_000_000
    # 2 SAEs, two dictionaries each: the gradients of all rows.
    assert on_cuda.of("gradients") == 4 * 5_308_416
    # 2 SAEs, parameters and both moments: 3 * 10,656,000.
    assert on_cuda.of("recording") == 2 * 31_968_000
    # 2 SAEs * (2 kept + 3 recordings * 8) * 1,179,648.
    assert on_cuda.of("working arrays") == 61_341_696
    # Once on the GPU: 2 * 2000 * 576 * 4.
    assert on_cuda.of("vectors") == 9_216_000


def test_streamed_vectors_take_two_batches() -> None:
    # 2 * 128 * 576 * 4.
    assert need(resident=False).of("vectors") == 589_824


def test_every_architecture_has_its_working_arrays() -> None:
    from typing import get_args

    from manifests.sae_recipes import Architecture

    assert set(WORKING_ARRAYS) == set(get_args(Architecture))


def test_the_block_of_rows_is_the_trainers() -> None:
    from retrain.planning.memory import ROW_BLOCK
    from retrain.training.adam import BLOCK_BYTES

    assert ROW_BLOCK == BLOCK_BYTES


SHAPES = st.builds(
    Group,
    st.sampled_from(sorted(WORKING_ARRAYS)),
    d_in=st.integers(1, 4096),
    d_sae=st.integers(1, 65536),
    n_saes=st.integers(1, 50),
    batch_size=st.integers(1, 4096),
    n_vectors=st.integers(1, 10**6),
)


@given(SHAPES, st.booleans(), st.booleans(), st.integers(1, 20))
def test_more_saes_take_more_by_the_same_amount(
    group: Group, is_cuda: bool, resident: bool, n_together: int
) -> None:
    sizes = [
        training_need(
            group,
            n_together=n,
            micro_batch=group.largest_batch,
            resident=resident,
            is_cuda=is_cuda,
        ).size_bytes
        for n in (n_together, n_together + 1, n_together + 2)
    ]
    assert sizes[1] - sizes[0] == sizes[2] - sizes[1] > 0


@given(SHAPES, st.booleans(), st.integers(1, 4096), st.integers(1, 4096))
def test_larger_parts_of_a_batch_take_more(
    group: Group, is_cuda: bool, one: int, other: int
) -> None:
    # Of two sizes that both are accumulated, or both are not.
    smaller, larger = sorted(min(size, group.largest_batch) for size in (one, other))
    if (smaller == group.largest_batch) != (larger == group.largest_batch):
        smaller = larger
    few, many = (
        training_need(group, n_together=1, micro_batch=n, resident=False, is_cuda=is_cuda)
        for n in (smaller, larger)
    )
    assert few.size_bytes <= many.size_bytes


def base_model(**precision: Any) -> BaseModelSpec:
    return BaseModelSpec.model_validate(
        {
            "id": "TinyLlama/TinyLlama-1.1B",
            "model_type": "llama",
            "n_layers": 22,
            "d_model": 2048,
            "precision": precision,
        }
    )


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        # 1,100,048,384 weights of 4, and of 2 bytes.
        ({}, 4_400_193_536),
        ({"weights": "fp16", "compute": "fp16"}, 2_200_096_768),
        # Embeddings, head and norms of 131,164,160 weights stay in fp16: 262,328,320 bytes. Of the
        # other 968,884,224: 1 byte each in int8 ...
        ({"weights": "int8", "compute": "fp16"}, 1_231_212_544),
        # ... in nf4 0.5 + 4 / 64 = 0.5625, so 544,997,376 ...
        ({"weights": "nf4", "compute": "fp16"}, 807_325_696),
        # ... and with double quantisation 0.5 + 1 / 64 + 4 / (64 * 256) = 0.515869140625, so
        # 499,817,472.
        ({"weights": "nf4", "compute": "fp16", "double_quantization": True}, 762_145_792),
    ],
)
def test_a_base_model_of_1_1_billion_weights(precision: dict[str, Any], expected: int) -> None:
    found = weights_bytes(TINYLLAMA, Precision.model_validate(precision))
    assert found == expected


def test_capturing_from_an_nf4_model_of_1_1_billion_weights() -> None:
    nf4 = base_model(weights="nf4", compute="fp16")
    found = capture_need(
        Capture(nf4, TINYLLAMA, n_hooks=5), n_tokens=1024, is_cuda=True, budget=4 * 10**9
    )
    # 968,884,224 * 0.5625 + 131,164,160 * 2.
    assert found.of("base model") == 807_325_696
    # (2 * 22 keys and values + 26 of one block + 5 hooks) * 2048 * 2 bytes = 307,200 a token.
    assert found.of("states of a batch") == 1024 * 307_200
    # 500,000,000 + 807,325,696 + 314,572,800: no shards on the GPU.
    assert found.size_bytes == 1_621_898_496


def test_an_unknown_size_is_estimated_from_the_shape() -> None:
    unknown = Capture(base_model(), None, n_hooks=1)
    # 12 * 22 * 2048^2 = 1,107,296,256 in blocks; 2 * 128,000 * 2048 = 524,288,000 in embeddings.
    assert unknown.weights_bytes() == (1_107_296_256 + 524_288_000) * 4


@given(st.integers(2 * 10**9, 200 * 10**9), st.booleans())
def test_the_planned_batches_keep_to_the_budget(budget: int, is_cuda: bool) -> None:
    capture = Capture(base_model(weights="nf4", compute="fp16"), TINYLLAMA, n_hooks=5)
    assert planned_need(capture, is_cuda=is_cuda, budget=budget).size_bytes <= budget


def test_a_need_is_told_with_its_largest_term_first() -> None:
    told = str(Need((Term("small", 31_000_000), Term("none", 0), Term("large", 1_500_000_000))))
    assert told == "1.53 GB = 1.50 large + 0.031 small"


def test_terms_below_a_megabyte_are_told_together() -> None:
    tiny = (Term("a", 900_000), Term("b", 800_000))
    assert str(Need((Term("large", 10**9), *tiny))) == "1.00 GB = 1.00 large + 0.0017 rest"
    assert str(Need((Term("large", 10**9), tiny[0]))) == "1.00 GB = 1.00 large"


@pytest.mark.parametrize(
    ("size", "told"), [(43_400_000, "43 MB"), (99_600_000, "100 MB"), (4_000_000_000, "4.0 GB")]
)
def test_sizes_count_in_powers_of_ten(size: int, told: str) -> None:
    assert shown_bytes(size) == told
