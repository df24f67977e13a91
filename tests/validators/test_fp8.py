"""FP8 layers on a CPU, where torch computes the same products slowly; no GPU is asked for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from manifests.base_model import Precision
from validators.base_models.effective_bits import effective_bits
from validators.base_models.fp8 import Fp8Linear, rounded_to_fp8, to_fp8
from validators.base_models.precisions import PrecisionProblem, refuse_missing_fp8


def tiny_llama(hidden: int = 32):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64,
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
        )
    ).eval()


def test_the_largest_value_takes_the_largest_number_of_the_format() -> None:
    rounded, scale = rounded_to_fp8(torch.tensor([[0.0, 3.5, -7.0]]))
    assert scale == 7.0 / 448.0
    assert rounded.float().tolist() == [[0.0, 224.0, -448.0]]


def test_zeros_stay_zeros() -> None:
    rounded, scale = rounded_to_fp8(torch.zeros(2, 3))
    assert (rounded.float() * scale).tolist() == torch.zeros(2, 3).tolist()


def test_a_product_is_that_of_the_rounded_factors() -> None:
    torch.manual_seed(1)
    linear = nn.Linear(32, 48)
    layer, x = Fp8Linear(linear), torch.randn(2, 5, 32)
    weight = layer.weight.float() * layer.weight_scale
    rows, scale = rounded_to_fp8(x.reshape(-1, 32))
    by_hand = (rows.float() * scale) @ weight.t() + linear.bias
    with torch.no_grad():
        found = layer(x)
    assert found.shape == (2, 5, 48)
    torch.testing.assert_close(found.reshape(-1, 48), by_hand, rtol=1e-5, atol=1e-5)
    # E4M3 has three bits of mantissa: half a step is a sixteenth of a value.
    assert (weight - linear.weight).abs().max() <= linear.weight.abs().max() / 16
    assert (found - linear(x)).norm() / linear(x).norm() > 0.005


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_result_has_the_compute_format(dtype: torch.dtype) -> None:
    layer = Fp8Linear(nn.Linear(16, 16, bias=False).to(dtype))
    assert layer(torch.randn(3, 16, dtype=dtype)).dtype == dtype


def test_a_model_keeps_its_head_embedding_and_norms() -> None:
    model = tiny_llama()
    tokens = torch.arange(12)[None]
    with torch.no_grad():
        before = model(tokens).logits
        assert to_fp8(model) == 14  # q, k, v, o, gate, up, down of two blocks
        after = model(tokens).logits
    assert type(model.lm_head) is nn.Linear
    relative = float((after - before).norm() / before.norm())
    assert 0.001 < relative < 0.2
    kinds = {kind.kind: kind for kind in effective_bits(model).kinds}
    assert kinds["fp8 linear"].bits_per_parameter == 8.0
    # 4 products of 32 x 32 and 3 of 32 x 64 in each of two blocks
    assert kinds["fp8 linear"].n_parameters == 2 * (4 * 32 * 32 + 3 * 32 * 64)


def test_layers_of_other_dimensions_stay_as_they_are() -> None:
    assert to_fp8(tiny_llama(hidden=24)) == 0


@pytest.mark.parametrize(
    ("capability", "words"), [(None, "and this is none"), ((8, 6), "and the GPU has 8.6")]
)
def test_it_is_refused_where_it_is_not_computed(capability, words) -> None:
    with pytest.raises(PrecisionProblem, match=words):
        refuse_missing_fp8(Precision(weights="fp8", compute="fp16"), capability)


@pytest.mark.parametrize("capability", [(8, 9), (9, 0)])
def test_it_is_taken_where_it_is(capability) -> None:
    precision = Precision(weights="fp8", compute="bf16")
    refuse_missing_fp8(precision, capability)
    refuse_missing_fp8(Precision(), None)
    assert precision.weights == "fp8"


@pytest.mark.gpu
def test_a_gpu_computes_what_the_cpu_does() -> None:
    torch.manual_seed(2)
    layer, x = Fp8Linear(nn.Linear(64, 32)), torch.randn(16, 64)
    with torch.no_grad():
        here, there = layer(x), layer.cuda()(x.cuda()).cpu()
    torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-4)
