"""Configs of older or other formats come out as SAELens 6 reads them, with the same latents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

SAE = "layer_1/sae"
Cfg = dict[str, Any]


def _without(*keys: str) -> Callable[[Cfg], Cfg]:
    return lambda cfg: {key: value for key, value in cfg.items() if key not in keys}


def _with(**changes: Any) -> Callable[[Cfg], Cfg]:
    return lambda cfg: {**cfg, **changes}


def _renamed(old: str, new: str) -> Callable[[Cfg], Cfg]:
    return lambda cfg: {(new if key == old else key): value for key, value in cfg.items()}


def _as_standard(cfg: Cfg) -> Cfg:
    """How SAELens stored TopK before 3.9."""
    bare = _without("k")(cfg)
    return {
        **bare,
        "architecture": "standard",
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": 9},
    }


FLAT = [
    ("topk", "flat_k", _with(), "C002"),
    ("topk", "own_format_before_6", _as_standard, "C010"),
    ("topk", "k_in_kwargs_only", lambda c: _with(
        activation_fn="topk", activation_fn_kwargs={"k": 9})(_without("k")(c)), "C006"),
    ("topk", "top_k", _renamed("k", "top_k"), "C006"),
    ("topk", "k_as_text", _with(k="9"), "C006"),
    ("topk", "k_as_float", _with(k=9.0), "C006"),
    ("topk", "case_of_the_name", _with(architecture="TopK"), "C004"),
    ("topk", "name_with_underscore", _with(architecture="top_k"), "C004"),
    ("topk", "architecture_missing", lambda c: _with(
        activation_fn_str="topk")(_without("architecture")(c)), "C003"),
    ("topk", "normalisation_null", _with(normalize_activations=None), "C003"),
    ("topk", "normalisation_false", _with(normalize_activations=False), "C003"),
    ("topk", "no_dtype", _without("dtype"), "C003"),
    ("topk", "dtype_fp32", _with(dtype="fp32"), "C009"),
    ("topk", "no_sizes", _without("d_in", "d_sae"), "C003"),
    ("topk", "sizes_swapped", _with(d_in=64, d_sae=16), "W002"),
    ("topk", "no_b_dec_switch", _without("apply_b_dec_to_input"), "C003"),
    ("topk", "device_cuda", _with(device="cuda:0"), "C020"),
    ("topk", "hook_point", _renamed("hook_name", "hook_point"), "C002"),
    ("topk", "version_6_but_flat", _with(sae_lens_version="6.1.0"), "C002"),
    ("topk", "path_of_a_machine", _with(dataset_path="/home/jane/data"), "C012"),
    ("jumprelu", "architecture_missing", _without("architecture"), "C003"),
    ("jumprelu", "name_in_words", _with(architecture="Jump-ReLU"), "C004"),
    ("jumprelu", "relu_stated", _with(activation_fn_str="relu"), "C010"),
    ("gated", "architecture_missing", _without("architecture"), "C003"),
    ("standard", "architecture_missing", lambda c: _with(
        activation_fn="relu")(_without("architecture")(c)), "C003"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("architecture", "change", "code"),
    [pytest.param(a, change, code, id=f"{a}-{name}") for a, name, change, code in FLAT],
)
def test_a_flat_config_becomes_a_nested_one_with_the_same_latents(
    bench: Any, sae_of: Any, flat: Any, x: Any, architecture: str, change: Any, code: str
) -> None:
    sae = sae_of(architecture)
    bench.write(sae, cfg=change(flat(sae.cfg)))
    assert bench.problems(of=bench.root), "the damage is one that the checks notice"
    mended = bench.mend()
    assert code in {m.code for m in mended.mends}
    assert mended.left == ()
    assert bench.problems() == []
    np.testing.assert_allclose(bench.latents(x), sae.latents(x), rtol=1e-5, atol=1e-5)
    metadata = bench.cfg()["metadata"]
    assert metadata["hook_name"] == "blocks.1.hook_resid_post"
    assert metadata["model_name"] == "tiny/llama"


def test_keys_that_nobody_knows_are_kept_in_metadata(bench: Any, sae_of: Any, flat: Any) -> None:
    sae = sae_of("topk")
    bench.write(sae, cfg={**flat(sae.cfg), "training_condition": "mixed", "hook_layer": 1})
    bench.mend()
    metadata = bench.cfg()["metadata"]
    assert (metadata["training_condition"], metadata["hook_layer"]) == ("mixed", 1)


def test_the_version_that_saved_an_older_config_is_kept(bench: Any, sae_of: Any, flat: Any) -> None:
    sae = sae_of("topk")
    bench.write(sae, cfg={**flat(sae.cfg), "sae_lens_version": "3.9.0"})
    bench.mend()
    metadata = bench.cfg()["metadata"]
    assert metadata["original_sae_lens_version"] == "3.9.0"
    assert metadata["sae_lens_version"] == "6.54.12"


def test_nested_metadata_without_a_version_gets_one(bench: Any, sae_of: Any, x: Any) -> None:
    sae = sae_of("topk")
    metadata = {k: v for k, v in sae.cfg["metadata"].items() if k != "sae_lens_version"}
    bench.write(sae, cfg={**sae.cfg, "metadata": metadata})
    assert [m.code for m in bench.mend().mends] == ["C013"]
    assert bench.problems() == []
    np.testing.assert_allclose(bench.latents(x), sae.latents(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    ["model.layers.1.hook_resid_post", "model.layers.1"],
)
def test_a_hook_named_by_the_module_gets_both_notations(bench: Any, sae_of: Any, name: str) -> None:
    sae = sae_of("topk")
    metadata = {k: v for k, v in sae.cfg["metadata"].items() if k != "hf_hook_name"}
    bench.write(sae, cfg={**sae.cfg, "metadata": {**metadata, "hook_name": name}})
    mended = bench.mend()
    assert [m.code for m in mended.mends] == ["H001"]
    assert bench.cfg()["metadata"]["hook_name"] == "blocks.1.hook_resid_post"
    assert bench.cfg()["metadata"]["hf_hook_name"] == "model.layers.1"
    assert bench.problems() == []


def test_a_misspelt_switch_is_neither_filled_in_nor_hidden(
    bench: Any, sae_of: Any, flat: Any
) -> None:
    sae = sae_of("topk")
    cfg = _renamed("apply_b_dec_to_input", "apply_b_dec_to_inputs")(flat(sae.cfg))
    bench.write(sae, cfg={**cfg, "apply_b_dec_to_inputs": False})
    mended = bench.mend()
    assert [m.code for m in mended.left] == ["C014"]
    assert bench.cfg()["apply_b_dec_to_inputs"] is False
    assert "apply_b_dec_to_input" not in bench.cfg()


def test_a_module_path_that_saelens_itself_wrote_is_right(bench: Any, sae_of: Any) -> None:
    sae = sae_of("topk")
    metadata = {
        "sae_lens_version": "6.54.12",
        "model_name": "tiny/llama",
        "model_class_name": "AutoModelForCausalLM",
        "hook_name": "model.layers.1",
    }
    bench.write(sae, cfg={**sae.cfg, "metadata": metadata})
    mended = bench.mend()
    assert (mended.mends, mended.left) == ((), ())


def test_keys_beside_metadata_that_belong_into_it_are_moved(
    bench: Any, sae_of: Any, x: Any
) -> None:
    sae = sae_of("topk")
    bench.write(sae, cfg={**sae.cfg, "context_size": 64})
    assert [m.code for m in bench.mend().mends] == ["C016"]
    assert bench.cfg()["metadata"]["context_size"] == 64
    assert bench.problems() == []


def test_the_layer_alone_does_not_say_what_the_blocks_are_called(bench: Any, sae_of: Any) -> None:
    sae = sae_of("topk")
    metadata = {**sae.cfg["metadata"], "hf_hook_name": "blocks.1.hook_resid_post"}
    bench.write(sae, cfg={**sae.cfg, "metadata": metadata})
    mended = bench.mend()
    assert mended.mends == ()
    assert [m.code for m in mended.left] == ["H002"]
    assert "manifest" in mended.left[0].why


LEFT = [
    ("topk", "k_nowhere", _without("k"), "C006"),
    ("topk", "k_twice", _with(activation_fn_kwargs={"k": 8}), "C006"),
    ("topk", "k_above_d_sae", _with(k=65), "C006"),
    ("standard", "unknown_activation", _with(activation_fn="tanh-relu"), "C010"),
    ("standard", "nothing_implies_it", _without("architecture"), "C003"),
    ("topk", "unknown_architecture", _with(architecture="crosscoder"), "C004"),
    ("topk", "layer_norm", _with(normalize_activations="layer_norm"), "C008"),
    ("topk", "scale_not_recorded", _with(normalize_activations=True), "C008"),
]


@pytest.mark.parametrize(
    ("architecture", "change", "code"),
    [pytest.param(a, change, code, id=f"{a}-{name}") for a, name, change, code in LEFT],
)
def test_what_cannot_be_known_is_left_and_said(
    bench: Any, sae_of: Any, flat: Any, architecture: str, change: Any, code: str
) -> None:
    sae = sae_of(architecture)
    bench.write(sae, cfg=change(flat(sae.cfg)))
    mended = bench.mend()
    assert code in {m.code for m in mended.left}
    assert all(m.why and m.what for m in mended.left)
    changed = change({})
    for key in {"k", "activation_fn", "architecture"} & changed.keys():
        assert bench.cfg()[key] == changed[key], "nothing is guessed"
    weights = f"{SAE}/sae_weights.safetensors"
    assert (bench.out / weights).read_bytes() == (bench.root / weights).read_bytes()
