"""What weights take, against numbers worked by hand, on models that bitsandbytes quantised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from manifests.base_model import Precision
from manifests.portability import ClaimedSize
from validators.base_models.effective_bits import (
    EffectiveBits,
    Stored,
    UnknownStorage,
    effective_bits,
)
from validators.base_models.precisions import loading_arguments
from validators.metrics.undefined import UndefinedMetric
from validators.portability.claimed_sizes import check_claimed_size

# One block, 128 wide and 256 in its MLP: 4 x 128 x 128 + 3 x 128 x 256 = 163840 weights in seven
# linear layers, each of a multiple of 64 x 256 of them. 16 tokens: 2048 weights of the embedding,
# which is the output head as well. Three norms: 384. One head of 128: 64 rotary frequencies, which
# transformers keeps twice, in float32.
N_LINEAR, N_EMBEDDING, N_NORMS, BUFFERS = 163840, 2048, 384, 2 * 64 * 4
N_ALL = N_LINEAR + N_EMBEDDING + N_NORMS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "tied-llama"
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=16,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    return path


def loaded(folder: Path, weights: str, compute: str, *, double: bool = False) -> Any:
    precision = Precision.model_validate(
        {"weights": weights, "compute": compute, "double_quantization": double}
    )
    arguments = loading_arguments(precision, device="cpu")
    return AutoModelForCausalLM.from_pretrained(folder, **arguments).eval()


def by_kind(found: EffectiveBits) -> dict[str, Stored]:
    return {kind.kind: kind for kind in found.kinds}


@pytest.mark.parametrize(("compute", "n_bytes"), [("fp32", 4), ("fp16", 2), ("bf16", 2)])
def test_an_unquantised_model_takes_its_format(folder: Path, compute: str, n_bytes: int) -> None:
    found = effective_bits(loaded(folder, compute, compute))
    assert found.n_parameters == N_ALL
    assert found.whole() == 8 * n_bytes
    # The tied head is not counted a second time.
    assert found.n_bytes == n_bytes * N_ALL + BUFFERS
    assert {kind.kind: kind.n_parameters for kind in found.kinds} == {
        f"{compute} embedding": N_EMBEDDING,
        f"{compute} linear": N_LINEAR,
        f"{compute} other": N_NORMS,
    }
    with pytest.raises(UndefinedMetric, match="no layer of the model is quantised"):
        found.quantised()


@pytest.mark.parametrize("weights", ["nf4", "fp4"])
def test_four_bits_with_plain_scales_are_four_and_a_half(folder: Path, weights: str) -> None:
    found = effective_bits(loaded(folder, weights, "fp16"))
    linear = by_kind(found)[f"{weights} linear"]
    # Half a byte each, one float32 for each block of 64, one table of 16 float32 in each layer.
    assert linear.n_parameters == N_LINEAR
    assert linear.weight_bytes == N_LINEAR // 2
    assert linear.scale_bytes == 4 * N_LINEAR // 64
    assert linear.constant_bytes == 7 * 16 * 4
    assert linear.bits_per_parameter == found.quantised() == 4 + 32 / 64
    bits = 4.5 * N_LINEAR + 7 * 16 * 32 + 16 * (N_EMBEDDING + N_NORMS)
    assert found.whole() == pytest.approx(bits / N_ALL)
    assert found.n_parameters == N_ALL


def test_double_quantisation_saves_what_its_paper_says(folder: Path) -> None:
    found = effective_bits(loaded(folder, "nf4", "fp16", double=True))
    # 4 + 8 / 64 + 32 / (64 x 256) = 4.127: 8-bit scales, one float32 for each 256 of them.
    assert found.quantised() == 4 + 8 / 64 + 32 / (64 * 256) == 4.126953125
    linear = by_kind(found)["nf4-dq linear"]
    assert linear.scale_bytes == N_LINEAR // 64 + 4 * N_LINEAR // (64 * 256)
    # Each layer: tables of 16 and of 256 float32, and the offset of the scales.
    assert linear.constant_bytes == 7 * 4 * (16 + 256 + 1)


def test_int8_has_one_scale_for_each_row_before_and_after_its_first_use(folder: Path) -> None:
    model = loaded(folder, "int8", "fp16")
    found = effective_bits(model)
    # Rows: four layers of 128, gate and up of 256 (128 wide each), down of 128 (256 wide).
    n_rows = 4 * 128 + 2 * 256 + 128
    assert by_kind(found)["int8 linear"].scale_bytes == 4 * n_rows
    assert found.quantised() == 8 + 32 * n_rows / N_LINEAR
    down = effective_bits(model.get_submodule("model.layers.0.mlp.down_proj"))
    assert down.quantised() == 8 + 32 / 256
    with torch.inference_mode():
        model(torch.arange(1, 9)[None])
    assert model.model.layers[0].mlp.down_proj.weight.SCB is None
    assert effective_bits(model) == found


def test_a_cpu_that_packs_anew_keeps_bf16_scales(folder: Path) -> None:
    from bitsandbytes.functional import _convert_weight_packed_for_cpu

    model = loaded(folder, "nf4", "bf16", double=True)
    layer = model.model.layers[0].mlp.up_proj
    # What Linear4bit does at its first use on a CPU with AVX512-BF16.
    layer.weight.data, _ = _convert_weight_packed_for_cpu(
        layer.weight.data, layer.weight.quant_state
    )
    assert effective_bits(layer).quantised() == 4 + 16 / 64


def test_transformers_footprint_misses_the_scales(folder: Path) -> None:
    plain, double = loaded(folder, "nf4", "fp16"), loaded(folder, "nf4", "fp16", double=True)
    assert plain.get_memory_footprint() == double.get_memory_footprint()
    saved = effective_bits(plain).quantised() - effective_bits(double).quantised()
    assert saved == 32 / 64 - 8 / 64 - 32 / (64 * 256)


def test_what_is_packed_in_an_unknown_way_is_refused() -> None:
    layer = torch.nn.Linear(4, 4)
    layer.weight = torch.nn.Parameter(torch.zeros(4, 2, dtype=torch.uint8), requires_grad=False)
    with pytest.raises(UnknownStorage, match="stored as uint8"):
        effective_bits(layer)
    layer.weight = torch.nn.Parameter(torch.zeros(4, 4, dtype=torch.int8), requires_grad=False)
    with pytest.raises(UnknownStorage, match="int8 without scales"):
        effective_bits(layer)


def test_a_model_without_parameters_has_no_bits() -> None:
    with pytest.raises(UndefinedMetric, match="no parameters"):
        effective_bits(torch.nn.Identity()).whole()


def test_a_tied_weight_counts_once_and_an_equal_one_twice() -> None:
    first, second = torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False)
    pair = torch.nn.Sequential(first, second)
    assert effective_bits(pair).n_parameters == 18
    second.weight = first.weight
    assert effective_bits(pair).n_parameters == 9
    # Another parameter over the same memory, as some models tie them.
    second.weight = torch.nn.Parameter(first.weight.data)
    assert effective_bits(pair).n_parameters == 9


def test_a_claim_of_three_and_a_half_bits_is_found_wrong(folder: Path) -> None:
    measured = effective_bits(loaded(folder, "nf4", "fp16", double=True))
    claim = ClaimedSize.model_validate({"precision": "nf4-dq:fp16", "effective_bits": 3.5})
    (finding,) = check_claimed_size(claim, measured)
    assert not finding.holds
    assert finding.relative_error == pytest.approx(3.5 / 4.126953125 - 1)
    assert "says 3.5 bits a weight of the quantised layers at nf4-dq:fp16" in finding.sentence
    assert "takes 4.127: it is -15% off" in finding.sentence


def test_claims_that_are_so_agree(folder: Path) -> None:
    measured = effective_bits(loaded(folder, "fp16", "fp16"))
    stated = {"precision": "fp16", "effective_bits": 16, "of": "whole", "memory_gb": 0.00034}
    bits, memory = check_claimed_size(ClaimedSize.model_validate(stated), measured)
    assert (bits.holds, bits.measured) == (True, 16)
    # 166272 weights of two bytes and 512 bytes of buffers are 333056 bytes; 340000 is 2% more.
    assert (memory.holds, memory.measured) == (True, 333056 / 1e9)
    tight = ClaimedSize.model_validate(stated | {"tolerance": 0.01})
    assert [finding.holds for finding in check_claimed_size(tight, measured)] == [True, False]


def test_a_claim_states_something() -> None:
    with pytest.raises(ValueError, match="states effective_bits, memory_gb or both"):
        ClaimedSize.model_validate({"precision": "nf4"})
