"""The manual path against numbers worked by hand, and against what it must refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from validators.manual_sae import UnknownToManualPath, manual_sae

# d_in 2, d_sae 3: the latents read x0, x1 and x0 + x1.
W_ENC = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
W_DEC = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
B_DEC = torch.tensor([1.0, -1.0])
ZEROS = torch.zeros(3)
X = torch.tensor([[3.0, 1.0], [0.0, -2.0]])
# x - b_dec: (2, 2) and (-1, -1); pre-activations (2, 2, 4) and (-1, -1, -2), plus b_enc.


def build(architecture: str, cfg: dict[str, Any] | None = None, **tensors: torch.Tensor) -> Any:
    base = {"architecture": architecture, "apply_b_dec_to_input": True}
    weights = {"W_enc": W_ENC, "W_dec": W_DEC, "b_dec": B_DEC}
    if architecture != "gated":
        weights["b_enc"] = torch.tensor([-0.5, 0.5, 0.0])
    return manual_sae(base | (cfg or {}), weights | tensors)


def test_standard_rectifies() -> None:
    sae = build("standard")
    latents = sae.encode(X)
    assert latents.tolist() == [[1.5, 2.5, 4.0], [0.0, 0.0, 0.0]]
    # 1.5 (1,0) + 2.5 (0,2) + 4 (1,1) + (1,-1) = (6.5, 8); nothing active gives b_dec.
    assert sae.decode(latents).tolist() == [[6.5, 8.0], [1.0, -1.0]]


def test_b_dec_is_left_on_the_input_where_the_config_says_so() -> None:
    sae = build("standard", {"apply_b_dec_to_input": False})
    assert sae.encode(X).tolist() == [[2.5, 1.5, 4.0], [0.0, 0.0, 0.0]]


def test_topk_keeps_the_k_largest_and_only_those_above_zero() -> None:
    latents = build("topk", {"k": 2}).encode(X)
    # Second vector: the largest are -0.5 and -1.5, which TopK rectifies.
    assert latents.tolist() == [[0.0, 2.5, 4.0], [0.0, 0.0, 0.0]]


def test_topk_ranks_and_decodes_by_decoder_norm_where_the_config_says_so() -> None:
    decoder = torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    sae = build("topk", {"k": 1, "rescale_acts_by_decoder_norm": True}, W_dec=decoder)
    latents = sae.encode(X[:1])
    # 1.5 x 3 = 4.5 beats 4.0; decoded as 4.5 / 3 = 1.5 of (3, 0), plus b_dec.
    assert latents.tolist() == [[4.5, 0.0, 0.0]]
    assert sae.decode(latents).tolist() == [[5.5, -1.0]]


def test_jumprelu_keeps_what_is_above_its_threshold_unchanged() -> None:
    sae = build("jumprelu", threshold=torch.tensor([1.5, 2.0, 5.0]))
    # 1.5 is not above 1.5; 2.5 is above 2; 4 is not above 5.
    assert sae.encode(X).tolist() == [[0.0, 2.5, 0.0], [0.0, 0.0, 0.0]]


def test_gated_opens_by_one_bias_and_measures_by_another() -> None:
    sae = build(
        "gated",
        b_gate=torch.tensor([-1.0, -3.0, 0.0]),
        b_mag=torch.tensor([0.5, 0.5, -9.0]),
        r_mag=torch.log(torch.tensor([2.0, 2.0, 2.0])),
    )
    # Gates 2-1 > 0, 2-3 < 0, 4 > 0; magnitudes 2 x 2 + 0.5, -, 4 x 2 - 9 < 0.
    assert sae.encode(X)[0].tolist() == pytest.approx([4.5, 0.0, 0.0])


def test_stored_half_precision_is_computed_in_float32() -> None:
    sae = build("standard", W_enc=W_ENC.bfloat16())
    assert sae.encode(X).dtype == torch.float32
    assert sae.d_sae == 3


@pytest.mark.parametrize(
    ("architecture", "cfg", "message"),
    [
        ("batchtopk", {}, "no formula for the architecture 'batchtopk'"),
        ("standard", {"normalize_activations": "layer_norm"}, "no formula for normalize_act"),
        ("standard", {"reshape_activations": "hook_z"}, "no formula for reshape_activations"),
        ("standard", {"apply_b_dec_to_input": "yes"}, "is not true or false"),
        ("jumprelu", {"rescale_acts_by_decoder_norm": True}, "means nothing for jumprelu"),
        ("topk", {}, "k is None"),
        ("topk", {"k": 2.0}, "k is 2.0"),
    ],
)
def test_what_has_no_formula_is_refused(
    architecture: str, cfg: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnknownToManualPath, match=message):
        build(architecture, cfg)
