"""The manual path against numbers worked by hand, against SAELens, and what it must refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from random_saes import D_IN, D_OUT, D_SAE, random_sae, saved
from sae_lens import SAE

from validators.manual.forward import Floats, ManualSae
from validators.manual.path_agreement import run_saelens
from validators.manual.sae import UnknownToManualPath, manual_sae
from validators.reading.safetensors_header import parse_header
from validators.reading.tensor_reader import read_tensors
from validators.saelens.format import INFERENCE_ARCHITECTURES


def floats(*rows: Any) -> Floats:
    return np.array(rows, dtype=np.float32)


# d_in 2, d_sae 3: the latents read x0, x1 and x0 + x1.
W_ENC = floats([1, 0, 1], [0, 1, 1])
W_DEC = floats([1, 0], [0, 2], [1, 1])
B_DEC = floats(1, -1)
X = floats([3, 1], [0, -2])
# x - b_dec: (2, 2) and (-1, -1); pre-activations (2, 2, 4) and (-1, -1, -2), plus b_enc.


ATTENTION = ("q_target", "k_ctx", "v_ctx", "c_proj")


def build(architecture: str, cfg: dict[str, Any] | None = None, **tensors: Floats) -> ManualSae:
    base = {"architecture": architecture, "apply_b_dec_to_input": True}
    weights = {"W_enc": W_ENC, "W_dec": W_DEC, "b_dec": B_DEC}
    if architecture != "gated":
        weights["b_enc"] = floats(-0.5, 0.5, 0)
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


def test_abstopk_keeps_the_k_largest_magnitudes_with_their_signs() -> None:
    latents = build("abstopk", {"k": 2}).encode(X)
    # Second vector: -1.5, -0.5 and -2, of which -0.5 is the smallest in magnitude.
    assert latents.tolist() == [[0.0, 2.5, 4.0], [-1.5, 0.0, -2.0]]


def test_topk_ranks_and_decodes_by_decoder_norm_where_the_config_says_so() -> None:
    decoder = floats([3, 0], [0, 1], [0, 1])
    sae = build("topk", {"k": 1, "rescale_acts_by_decoder_norm": True}, W_dec=decoder)
    latents = sae.encode(X[:1])
    # 1.5 x 3 = 4.5 beats 4.0; decoded as 4.5 / 3 = 1.5 of (3, 0), plus b_dec.
    assert latents.tolist() == [[4.5, 0.0, 0.0]]
    assert sae.decode(latents).tolist() == [[5.5, -1.0]]


def test_jumprelu_keeps_what_is_above_its_threshold_unchanged() -> None:
    sae = build("jumprelu", threshold=floats(1.5, 2, 5))
    # 1.5 is not above 1.5; 2.5 is above 2; 4 is not above 5.
    assert sae.encode(X).tolist() == [[0.0, 2.5, 0.0], [0.0, 0.0, 0.0]]


def test_gated_opens_by_one_bias_and_measures_by_another() -> None:
    sae = build(
        "gated",
        b_gate=floats(-1, -3, 0),
        b_mag=floats(0.5, 0.5, -9),
        r_mag=np.log(floats(2, 2, 2)),
    )
    # Gates 2-1 > 0, 2-3 < 0, 4 > 0; magnitudes 2 x 2 + 0.5, -, 4 x 2 - 9 < 0.
    assert sae.encode(X)[0].tolist() == pytest.approx([4.5, 0.0, 0.0])


def test_a_skip_transcoder_adds_a_function_of_its_input() -> None:
    sae = build(
        "skip_transcoder",
        {"apply_b_dec_to_input": False},
        W_dec=floats([1], [2], [3]),
        b_dec=floats(10),
        W_skip=floats([5, 7]),
    )
    latents, y_hat = sae.run(X[:1])
    # Pre-activations of (3, 1): 2.5, 1.5 and 4. Output 2.5 + 2 * 1.5 + 3 * 4 + 10 = 27.5, and
    # 5 * 3 + 7 * 1 = 22 by the skip.
    assert latents.tolist() == [[2.5, 1.5, 4.0]]
    assert y_hat.tolist() == [[49.5]]
    assert sae.d_out == 1


def test_matching_pursuit_picks_again_and_again_for_what_is_left() -> None:
    decoder = floats([1, 0], [0, 1], [0.6, 0.8])
    cfg = {"residual_threshold": 0.1, "max_iterations": None, "stop_on_duplicate_support": True}
    sae = build("matching_pursuit", cfg, W_dec=decoder)
    latents, x_hat = sae.run(floats([3.5, 1], [0, -2]))
    # x - b_dec = (2.5, 2): products 2.5, 2, 3.1; picks the third, which leaves (0.64, -0.48) with
    # products 0.64, -0.48, 0; picks the first, which leaves (0, -0.48): nothing is above zero.
    # The second vector, (-1, -1), has no product above zero at all.
    np.testing.assert_allclose(latents, [[0.64, 0, 3.1], [0, 0, 0]], rtol=1e-5)
    np.testing.assert_allclose(x_hat, [[3.5, 1.48], [1, -1]], rtol=1e-5)


def test_matching_pursuit_ends_below_its_residual_threshold() -> None:
    decoder = floats([1, 0], [0, 1], [0.6, 0.8])
    cfg = {"residual_threshold": 0.9, "max_iterations": None, "stop_on_duplicate_support": True}
    latents = build("matching_pursuit", cfg, W_dec=decoder).encode(floats([3.5, 1]))
    # The first pick leaves (0.64, -0.48), of norm 0.8.
    np.testing.assert_allclose(latents, [[0, 0, 3.1]], rtol=1e-5)


def test_a_temporal_sae_codes_what_the_context_does_not_predict() -> None:
    # d_in 1, d_sae 1, tied weights of 4 d_in: the code of a residual r is s r W = r. Values pass
    # unchanged through attention whose queries are zero, which takes the mean of the context.
    layer = {f"attn_layers.0.{name}.bias": floats(0) for name in ATTENTION}
    layer |= {f"attn_layers.0.{name}.weight": floats([0]) for name in ATTENTION[:2]}
    layer |= {f"attn_layers.0.{name}.weight": floats([1]) for name in ATTENTION[2:]}
    cfg = {
        "architecture": "temporal",
        "apply_b_dec_to_input": False,
        "n_heads": 1,
        "n_attn_layers": 1,
        "sae_diff_type": "relu",
        "tied_weights": True,
    }
    weights = {"W_dec": floats([4]), "b_dec": floats(0), **layer}
    latents, x_hat = manual_sae(cfg, weights).run(floats([2], [3]))
    # Codes 2 and 3. Position 0 has an empty context: all of it is novel. Position 1 sees the mean
    # of (nothing, 2), which is 1, written as 4: the projection of 3 on it is 3 / 4 of it, so that
    # nothing novel is left, and the predicted code 0.75 is decoded as 3.
    np.testing.assert_allclose(latents, [[2], [0]], atol=1e-5)
    np.testing.assert_allclose(x_hat, [[8], [3]], rtol=1e-5)


def test_layer_norm_is_undone_at_the_output() -> None:
    sae = build("standard", {"normalize_activations": "layer_norm", "apply_b_dec_to_input": False})
    latents, x_hat = sae.run(floats([3, 1]))
    # Mean 2, standard deviation of the sample sqrt(2): (1, -1) / sqrt(2) = (0.7071, -0.7071);
    # pre-activations 0.2071, -0.2071, 0; output (0.2071, 0) + (1, -1), times sqrt(2), plus 2.
    np.testing.assert_allclose(latents, [[0.2071, 0, 0]], atol=1e-4)
    np.testing.assert_allclose(x_hat, [[3.7071, 0.5858]], rtol=1e-4)


def test_a_constant_norm_is_sqrt_d_in() -> None:
    sae = build(
        "standard",
        {"normalize_activations": "constant_norm_rescale", "apply_b_dec_to_input": False},
        b_enc=floats(0, 0, 0),
    )
    latents, x_hat = sae.run(floats([30, 40]))
    # Norm 50 to sqrt(2): (0.6, 0.8) sqrt(2) = (0.8485, 1.1314), and 1.9799; output
    # (0.8485 + 1.9799 + 1, 2.2627 + 1.9799 - 1) * 50 / sqrt(2).
    np.testing.assert_allclose(latents, [[0.8485, 1.1314, 1.9799]], rtol=1e-4)
    np.testing.assert_allclose(x_hat, [[135.355, 114.645]], rtol=1e-4)


def test_attention_heads_are_laid_side_by_side() -> None:
    sae = build("standard", {"reshape_activations": "hook_z"})
    assert sae.encode(X.reshape(2, 2, 1)).tolist() == sae.encode(X).tolist()


def test_stored_float16_is_computed_in_float32() -> None:
    sae = build("standard", W_enc=W_ENC.astype(np.float16))
    assert sae.encode(X).dtype == np.float32
    assert (sae.d_sae, sae.d_out) == (3, 2)


PASSING_ON = ("matching_pursuit", "temporal")

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    *((architecture, {}) for architecture in INFERENCE_ARCHITECTURES),
    *(
        (architecture, {"normalize_activations": normalization})
        for architecture in INFERENCE_ARCHITECTURES
        for normalization in ("layer_norm", "constant_norm_rescale")
    ),
    *(
        (architecture, {"apply_b_dec_to_input": False})
        for architecture in INFERENCE_ARCHITECTURES
        if "transcoder" not in architecture
    ),
    ("topk", {"rescale_acts_by_decoder_norm": True}),
    ("abstopk", {"rescale_acts_by_decoder_norm": True}),
    ("topk", {"k": D_SAE}),
    ("standard", {"reshape_activations": "hook_z"}),
    ("temporal", {"tied_weights": False, "apply_b_dec_to_input": False}),
    ("temporal", {"sae_diff_type": "relu", "n_attn_layers": 2}),
    ("temporal", {"kval_topk": None}),
    (
        "temporal",
        {
            "normalize_activations": "constant_scalar_rescale",
            "activation_normalization_factor": 0.3,
        },
    ),
    ("matching_pursuit", {"residual_threshold": 0.0, "max_iterations": None}),
    ("matching_pursuit", {"stop_on_duplicate_support": False, "max_iterations": 5}),
]


@pytest.mark.parametrize(("architecture", "settings"), SETTINGS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_agrees_with_saelens(
    architecture: str, settings: dict[str, Any], dtype: str, tmp_path: Path
) -> None:
    """From the files alone; both sum some 64 products in float32, so to about 1e-6."""
    sae = random_sae(architecture, **settings).to(dtype=getattr(torch, dtype))
    folder = saved(sae, tmp_path)
    loaded = SAE.load_from_disk(folder, dtype="float32")
    cfg = json.loads((folder / "cfg.json").read_text(encoding="utf-8"))
    path = folder / "sae_weights.safetensors"
    content = path.read_bytes()
    header = parse_header(content, size_bytes=len(content), where=path.name)
    manual = manual_sae(cfg, read_tensors(path, header))
    x = np.random.default_rng(1).normal(size=(40, D_IN)).astype(np.float32) * 3 + 1
    latents, outputs = run_saelens(loaded, x, manual.decodes_latents_alone)
    ours, x_hat = manual.run(x)
    assert ours.shape == (40, D_SAE)
    assert x_hat.shape == (40, D_OUT if "transcoder" in architecture else D_IN)
    assert (latents != 0).any()
    assert ((latents != 0) == (ours != 0)).all()
    np.testing.assert_allclose(ours, latents, rtol=1e-5, atol=1e-5 * np.abs(latents).max())
    np.testing.assert_allclose(x_hat, outputs, rtol=1e-5, atol=1e-5 * np.abs(outputs).max())


@pytest.mark.parametrize("architecture", INFERENCE_ARCHITECTURES)
def test_what_a_small_change_of_x_switches_lies_near_its_switching_point(
    architecture: str,
) -> None:
    sae = random_sae(architecture)
    manual = manual_sae(
        sae.cfg.to_dict(), {name: t.numpy() for name, t in sae.state_dict().items()}
    )
    generator = np.random.default_rng(2)
    x = generator.normal(size=(2000, D_IN)).astype(np.float32) * 3
    moved = x * (1 + 1e-3 * generator.choice([-1, 1], size=x.shape).astype(np.float32))
    switched = (manual.encode(x) != 0) != (manual.encode(moved) != 0)
    margin = manual.switch_margin(x)
    assert margin.shape == switched.shape
    assert switched.any()
    # Sixteen terms move by 1e-3 each: together by at most sqrt(16) times that of the root of their
    # squares. A pursuit and a prediction pass on what moved.
    assert margin[switched].max() < (0.02 if architecture in PASSING_ON else 0.004)
    assert np.median(margin[~switched]) > 5 * np.median(margin[switched])


@pytest.mark.parametrize(
    ("architecture", "cfg", "message"),
    [
        ("batchtopk", {}, "no formula for the architecture 'batchtopk'"),
        ("standard", {"normalize_activations": "expected_average_only_in"}, "SAELens does nothing"),
        ("standard", {"normalize_activations": "covariance_whitening"}, "SAELens does nothing"),
        ("standard", {"normalize_activations": "sphere"}, "no formula for normalize_act"),
        ("standard", {"normalize_activations": "constant_scalar_rescale"}, "no formula for norm"),
        ("standard", {"reshape_activations": "hook_q"}, "no formula for reshape_activations"),
        ("standard", {"apply_b_dec_to_input": "yes"}, "is not true or false"),
        ("standard", {"apply_b_dec_to_input": None}, "is not true or false"),
        ("jumprelu", {"rescale_acts_by_decoder_norm": True}, "means nothing for jumprelu"),
        ("transcoder", {}, "apply_b_dec_to_input means nothing for a transcoder"),
        (
            "transcoder",
            {"apply_b_dec_to_input": False, "reshape_activations": "hook_z"},
            "no formula for reshape_activations",
        ),
        ("topk", {}, "k is None"),
        ("topk", {"k": 2.0}, "k is 2.0"),
        ("topk", {"k": True}, "k is True"),
        ("topk", {"k": 100}, "k is 100"),
        ("matching_pursuit", {}, "residual_threshold is None"),
        ("temporal", {"n_attn_layers": 1, "n_heads": 1}, "sae_diff_type is None"),
    ],
)
def test_what_has_no_formula_is_refused(
    architecture: str, cfg: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnknownToManualPath, match=message):
        build(architecture, cfg)
