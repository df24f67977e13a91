"""Weights that were written the wrong way come out right, with the intended latents."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

SAE = "layer_1/sae"


def assert_mended(bench: Any, sae: Any, x: Any) -> None:
    assert bench.problems() == []
    np.testing.assert_allclose(bench.latents(x), sae.latents(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", ["scalar", "vector"])
def test_a_threshold_beside_topk_weights_is_dropped(
    bench: Any, sae_of: Any, x: Any, shape: str
) -> None:
    sae = sae_of("topk")
    threshold = np.float32(-1.0) if shape == "scalar" else np.full(64, 0.1, dtype=np.float32)
    bench.write(sae, tensors={**sae.tensors, "threshold": np.asarray(threshold)})
    assert [m.code for m in bench.mend().mends] == ["W001"]
    assert_mended(bench, sae, x)


def test_a_b_enc_of_zeros_beside_gated_weights_is_dropped(bench: Any, sae_of: Any, x: Any) -> None:
    sae = sae_of("gated")
    bench.write(sae, tensors={**sae.tensors, "b_enc": np.zeros(64, dtype=np.float32)})
    assert [m.code for m in bench.mend().mends] == ["W001"]
    assert_mended(bench, sae, x)


def test_a_b_enc_that_says_something_is_left(bench: Any, sae_of: Any) -> None:
    sae = sae_of("gated")
    bench.write(sae, tensors={**sae.tensors, "b_enc": np.ones(64, dtype=np.float32)})
    mended = bench.mend()
    assert mended.mends == ()
    assert [m.code for m in mended.left] == ["W001"]


def test_log_threshold_becomes_threshold(bench: Any, sae_of: Any, x: Any) -> None:
    sae = sae_of("jumprelu")
    tensors = {n: t for n, t in sae.tensors.items() if n != "threshold"}
    bench.write(sae, tensors={**tensors, "log_threshold": np.log(sae.tensors["threshold"])})
    assert [m.code for m in bench.mend().mends] == ["W001"]
    assert_mended(bench, sae, x)


def test_a_threshold_that_holds_logarithms_becomes_their_exponential(
    bench: Any, sae_of: Any, x: Any
) -> None:
    sae = sae_of("jumprelu")
    bench.write(sae, tensors={**sae.tensors, "threshold": np.log(sae.tensors["threshold"])})
    assert [m.code for m in bench.mend().mends] == ["W102"]
    assert_mended(bench, sae, x)


def test_thresholds_that_may_have_lost_their_sign_are_left(bench: Any, sae_of: Any) -> None:
    sae = sae_of("jumprelu")
    bench.write(sae, tensors={**sae.tensors, "threshold": -sae.tensors["threshold"]})
    mended = bench.mend()
    assert mended.mends == ()
    assert [m.code for m in mended.left] == ["W102"]


@pytest.mark.parametrize("shape", [(), (1,)])
def test_one_threshold_for_all_is_written_for_each_latent(
    bench: Any, sae_of: Any, x: Any, shape: tuple[int, ...]
) -> None:
    sae = sae_of("jumprelu")
    sae.tensors["threshold"][:] = 0.125
    cfg = {**sae.cfg, "metadata": {**sae.cfg["metadata"], "training_architecture": "batchtopk"}}
    one = np.full(shape, 0.125, dtype=np.float32)
    bench.write(sae, cfg=cfg, tensors={**sae.tensors, "threshold": one})
    assert [m.code for m in bench.mend().mends] == ["W002"]
    assert_mended(bench, sae, x)


def test_a_scaling_factor_of_ones_is_dropped_and_another_is_left(
    bench: Any, sae_of: Any, x: Any
) -> None:
    sae = sae_of("standard")
    ones = np.ones(64, dtype=np.float32)
    bench.write(sae, "ones", tensors={**sae.tensors, "scaling_factor": ones})
    bench.write(sae, "twos", tensors={**sae.tensors, "scaling_factor": 2 * ones})
    mended = bench.mend()
    assert [(m.sae_id, m.code) for m in mended.mends] == [("ones", "W001")]
    assert [(m.sae_id, m.code) for m in mended.left] == [("twos", "W001")]
    np.testing.assert_allclose(bench.latents(x, "ones"), sae.latents(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("names", [("W_enc",), ("W_dec",), ("W_enc", "W_dec")])
@pytest.mark.parametrize("architecture", ["topk", "gated", "jumprelu"])
def test_a_matrix_whose_shape_is_the_other_way_round_is_transposed(
    bench: Any, sae_of: Any, x: Any, architecture: str, names: tuple[str, ...]
) -> None:
    sae = sae_of(architecture)
    bench.write(sae, tensors={**sae.tensors, **{n: sae.tensors[n].T for n in names}})
    assert [m.code for m in bench.mend().mends] == ["W002"] * len(names)
    assert_mended(bench, sae, x)


@pytest.mark.parametrize("name", ["W_enc", "W_dec"])
def test_a_square_matrix_is_turned_by_cosine_and_norms(bench: Any, sae_of: Any, name: str) -> None:
    sae = sae_of("standard", d_in=48, d_sae=48)
    bench.write(sae, tensors={**sae.tensors, name: sae.tensors[name].T})
    mended = bench.mend()
    assert [(m.code, m.what) for m in mended.mends] == [("W105", f"transposed {name}")]
    vectors = np.random.default_rng(5).normal(size=(32, 48)).astype(np.float32)
    assert_mended(bench, sae, vectors)


def test_which_of_two_square_matrices_was_turned_is_not_guessed(bench: Any, sae_of: Any) -> None:
    sae = sae_of("standard", d_in=48, d_sae=48)
    # Rows and columns of uneven norms: nothing says which of the two axes holds the latents.
    sae.tensors["W_dec"] *= np.linspace(0.5, 2, 48, dtype=np.float32)[:, None]
    bench.write(sae, tensors={**sae.tensors, "W_enc": sae.tensors["W_enc"].T})
    mended = bench.mend()
    assert mended.mends == ()
    assert [m.code for m in mended.left] == ["W105"]


def unfolded(sae: Any) -> tuple[Any, np.ndarray]:
    """The same SAE with decoder rows of norms from 0.25 to 4, powers of two: exact in float."""
    norms = np.float32(2.0) ** (np.arange(64) % 5 - 2).astype(np.float32)
    tensors = dict(sae.tensors)
    tensors["W_enc"], tensors["b_enc"] = tensors["W_enc"] / norms, tensors["b_enc"] / norms
    tensors["W_dec"] = tensors["W_dec"] * norms[:, None]
    return tensors, norms


def test_the_decoder_norms_that_a_topk_sae_rescales_by_are_folded(
    bench: Any, sae_of: Any, x: Any
) -> None:
    sae = sae_of("topk")
    tensors, _ = unfolded(sae)
    bench.write(sae, cfg={**sae.cfg, "rescale_acts_by_decoder_norm": True}, tensors=tensors)
    mended = bench.mend()
    assert [m.code for m in mended.mends] == ["W104"]
    assert "unit decoder rows" in mended.mends[0].what
    assert bench.cfg()["rescale_acts_by_decoder_norm"] is False
    assert_mended(bench, sae, x)
    intended = sae.latents(x) @ sae.tensors["W_dec"] + sae.tensors["b_dec"]
    np.testing.assert_allclose(bench.reconstructions(x), intended, rtol=1e-4, atol=1e-5)


def test_a_flag_that_jumprelu_does_not_have_is_folded_with_the_threshold(
    bench: Any, sae_of: Any, x: Any
) -> None:
    sae = sae_of("jumprelu")
    tensors, norms = unfolded(sae)
    tensors["threshold"] = sae.tensors["threshold"] / norms
    bench.write(sae, cfg={**sae.cfg, "rescale_acts_by_decoder_norm": True}, tensors=tensors)
    assert [m.code for m in bench.mend().mends] == ["C017"]
    assert "rescale_acts_by_decoder_norm" not in bench.cfg()
    assert_mended(bench, sae, x)


def test_norms_that_saelens_has_folded_itself_are_left_alone(bench: Any, sae_of: Any) -> None:
    sae = sae_of("topk")
    bench.write(sae, cfg={**sae.cfg, "rescale_acts_by_decoder_norm": True})
    assert bench.mend().mends == ()


def test_a_flag_that_the_architecture_does_not_have_is_taken_out_where_it_says_nothing(
    bench: Any, sae_of: Any, x: Any
) -> None:
    sae = sae_of("standard")
    bench.write(sae, cfg={**sae.cfg, "rescale_acts_by_decoder_norm": True})
    assert [m.code for m in bench.mend().mends] == ["C017"]
    assert_mended(bench, sae, x)


def test_a_recorded_input_scale_is_folded(bench: Any, sae_of: Any, x: Any) -> None:
    sae = sae_of("jumprelu")
    scale = np.float32(0.25)
    # For inputs times 0.25: W_enc * 4, W_dec / 4, b_dec / 4 undo what the fold does.
    tensors = {
        **sae.tensors,
        "W_enc": sae.tensors["W_enc"] / scale,
        "W_dec": sae.tensors["W_dec"] * scale,
        "b_dec": sae.tensors["b_dec"] * scale,
    }
    cfg = {**sae.cfg, "normalize_activations": "expected_average_only_in"}
    bench.write(sae, cfg=cfg, tensors=tensors)
    scaler = bench.root / SAE / "activation_scaler.json"
    scaler.write_text(json.dumps({"scaling_factor": 0.25}), encoding="utf-8")
    assert [m.code for m in bench.mend().mends] == ["C008"]
    assert bench.cfg()["normalize_activations"] == "none"
    assert_mended(bench, sae, x)


@pytest.mark.parametrize("rescales", [True, False])
def test_a_batchtopk_checkpoint_becomes_the_jumprelu_that_saelens_saves_of_it(
    bench: Any, sae_of: Any, x: Any, rescales: bool
) -> None:
    sae = sae_of("jumprelu")
    sae.tensors["threshold"][:] = 0.25
    tensors, _ = unfolded(sae) if rescales else (dict(sae.tensors), None)
    del tensors["threshold"]
    tensors["topk_threshold"] = np.asarray(0.25, dtype=np.float64)
    cfg = {**sae.cfg, "architecture": "batchtopk", "k": 9.0}
    bench.write(sae, cfg={**cfg, "rescale_acts_by_decoder_norm": rescales}, tensors=tensors)
    assert [m.code for m in bench.mend().mends] == ["C004"]
    assert bench.cfg()["metadata"]["training_architecture"] == "batchtopk"
    assert_mended(bench, sae, x)


def test_weights_of_mixed_dtypes_are_stored_in_the_widest(bench: Any, sae_of: Any, x: Any) -> None:
    sae = sae_of("topk")
    b_dec = sae.tensors["b_dec"].astype(np.float16)
    sae.tensors["b_dec"][:] = b_dec
    bench.write(sae, tensors={**sae.tensors, "b_dec": b_dec})
    assert [m.code for m in bench.mend().mends] == ["W003"]
    assert_mended(bench, sae, x)


def test_the_config_says_in_which_dtype_the_file_is(bench: Any, sae_of: Any) -> None:
    sae = sae_of("topk")
    bench.write(sae, cfg={**sae.cfg, "dtype": "bfloat16"})
    assert [m.code for m in bench.mend().mends] == ["W003"]
    assert bench.cfg()["dtype"] == "float32"


def test_integers_are_left_since_their_scale_is_not_recorded(bench: Any, sae_of: Any) -> None:
    sae = sae_of("topk")
    tensors = {n: (t * 20).astype(np.int8) for n, t in sae.tensors.items()}
    bench.write(sae, tensors=tensors)
    mended = bench.mend()
    assert (mended.mends, [m.code for m in mended.left]) == ((), ["W003"])


@pytest.mark.parametrize("architecture", ["topk", "jumprelu", "gated", "standard"])
def test_an_sae_without_a_problem_is_copied_byte_for_byte(
    bench: Any, sae_of: Any, architecture: str
) -> None:
    bench.write(sae_of(architecture))
    mended = bench.mend()
    assert (mended.mends, mended.left) == ((), ())
    for name in ("cfg.json", "sae_weights.safetensors"):
        assert (bench.out / SAE / name).read_bytes() == (bench.root / SAE / name).read_bytes()


def test_several_faults_at_once_are_all_mended(bench: Any, sae_of: Any, flat: Any, x: Any) -> None:
    sae = sae_of("jumprelu")
    tensors = {n: t for n, t in sae.tensors.items() if n != "threshold"}
    tensors |= {"W_enc": tensors["W_enc"].T, "log_threshold": np.log(sae.tensors["threshold"])}
    cfg = {**flat(sae.cfg), "architecture": "JumpReLU", "device": "cuda", "dtype": "fp32"}
    bench.write(sae, cfg=cfg, tensors=tensors)
    codes = [m.code for m in bench.mend().mends]
    assert codes == ["C002", "C004", "W002", "W001", "C009", "C020"]
    assert_mended(bench, sae, x)


def write_in_bfloat16(bench: Any, sae: Any, tensors: dict[str, np.ndarray], **cfg: Any) -> None:
    """The SAE as BF16 tensors; what is written is what `bench.latents` is to give."""
    import torch
    from safetensors.torch import save_file

    bench.write(sae, cfg={**sae.cfg, "dtype": "bfloat16", **cfg})
    halves = {n: torch.from_numpy(np.ascontiguousarray(t)).bfloat16() for n, t in tensors.items()}
    save_file(halves, bench.root / SAE / "sae_weights.safetensors")


def in_bfloat16(sae: Any) -> None:
    import torch

    for name, tensor in sae.tensors.items():
        sae.tensors[name] = torch.from_numpy(tensor).bfloat16().float().numpy()


def test_transposing_bfloat16_weights_keeps_every_value_and_the_dtype(
    bench: Any, sae_of: Any, x: Any
) -> None:
    sae = sae_of("topk")
    in_bfloat16(sae)
    write_in_bfloat16(bench, sae, {**sae.tensors, "W_enc": sae.tensors["W_enc"].T})
    assert [m.code for m in bench.mend().mends] == ["W002"]
    assert bench.cfg()["dtype"] == "bfloat16"
    assert_mended(bench, sae, x)


def test_folded_bfloat16_weights_are_stored_in_float32_which_does_not_round_them_again(
    bench: Any, sae_of: Any, x: Any
) -> None:
    sae = sae_of("topk")
    # Norms of about 1.4: a product with them has more bits than bfloat16 keeps.
    sae.tensors["W_dec"] *= np.linspace(1.2, 1.6, 64, dtype=np.float32)[:, None]
    in_bfloat16(sae)
    write_in_bfloat16(bench, sae, sae.tensors, rescale_acts_by_decoder_norm=True)
    assert [m.code for m in bench.mend().mends] == ["W104", "W003"]
    assert bench.cfg()["dtype"] == "float32"
    norms = np.linalg.norm(sae.tensors["W_dec"].astype(np.float64), axis=1)
    sae.tensors["W_enc"] = (sae.tensors["W_enc"] * norms).astype(np.float32)
    sae.tensors["b_enc"] = (sae.tensors["b_enc"] * norms).astype(np.float32)
    assert_mended(bench, sae, x)
