"""SAEs of other projects come out as SAELens' with the latents of the other project's forward."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

D_IN, D_SAE, K = 16, 64, 9


@pytest.fixture
def random_weights() -> dict[str, np.ndarray]:
    """Two Linear layers: encoder [d_sae, d_in], decoder [d_in, d_sae] with columns of norm 1."""
    random = np.random.default_rng(11)
    decoder = random.normal(size=(D_IN, D_SAE))
    decoder /= np.linalg.norm(decoder, axis=0)
    weights = {
        "encoder": decoder.T + 0.05 * random.normal(size=(D_SAE, D_IN)),
        "decoder": decoder,
        "b_enc": 0.1 * random.normal(size=D_SAE),
        "b_dec": 0.3 * random.normal(size=D_IN),
        "threshold": random.uniform(0.05, 0.3, size=D_SAE),
        "uneven": random.uniform(0.3, 3.0, size=D_SAE),
    }
    return {name: values.astype(np.float32) for name, values in weights.items()}


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8", newline="\n")


def save_pickle(path: Path, tensors: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({name: torch.tensor(value) for name, value in tensors.items()}, path)


def save_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path)


def relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0)


def assert_same(
    bench: Any, folder: str, x: np.ndarray, latents: np.ndarray, x_hat: np.ndarray
) -> None:
    np.testing.assert_allclose(bench.latents(x, folder), latents, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bench.reconstructions(x, folder), x_hat, rtol=1e-4, atol=1e-4)
    # What the base model's blocks are called only a manifest says; all else is whole.
    assert [p for p in bench.problems() if p[:4] not in ("H001", "H002")] == []


# --- sparsify ----------------------------------------------------------------------------------


def write_sparsify(root: Path, w: dict[str, np.ndarray], **cfg: Any) -> None:
    tensors = {
        "encoder.weight": w["encoder"],
        "encoder.bias": w["b_enc"],
        "W_dec": w["decoder"].T,
        "b_dec": w["b_dec"],
    }
    save_safetensors(root / "layers.1" / "sae.safetensors", tensors)
    known = {
        "activation": "topk", "expansion_factor": 4, "normalize_decoder": True, "num_latents": 0,
        "k": K, "multi_topk": False, "skip_connection": False, "transcode": False, "d_in": D_IN,
    }  # fmt: skip
    write_json(root / "layers.1" / "cfg.json", {**known, **cfg})
    write_json(root / "config.json", {"model": "tiny/llama", "ctx_len": 64})


@pytest.mark.parametrize("normalize_decoder", [True, False])
def test_sparsify_subtracts_b_dec_whatever_its_config_says_of_norms(
    bench: Any, x: Any, largest: Any, random_weights: Any, normalize_decoder: bool
) -> None:
    w = random_weights
    write_sparsify(bench.root, w, normalize_decoder=normalize_decoder)
    mended = bench.mend()
    latents = largest(relu((x - w["b_dec"]) @ w["encoder"].T + w["b_enc"]), K)
    assert_same(bench, "layers.1", x, latents, latents @ w["decoder"].T + w["b_dec"])
    assert bench.cfg("layers.1")["d_sae"] == D_SAE
    assert bench.cfg("layers.1")["metadata"]["hook_name"] == "blocks.1.hook_resid_post"
    assert not (bench.out / "layers.1" / "sae.safetensors").exists()
    assert mended.mends[0].what == "wrote sparsify (eai-sparsify) as SAELens' topk"


@pytest.mark.parametrize("key", ["transcode", "skip_connection"])
def test_what_saelens_has_no_class_for_is_copied_and_left(
    bench: Any, random_weights: Any, key: str
) -> None:
    write_sparsify(bench.root, random_weights, **{key: True})
    mended = bench.mend()
    assert mended.mends == ()
    assert [(m.sae_id, m.what) for m in mended.left] == [
        ("layers.1", f"sparsify's config has {key}")
    ]
    file = Path("layers.1", "sae.safetensors")
    assert (bench.out / file).read_bytes() == (bench.root / file).read_bytes()


# --- dictionary_learning -------------------------------------------------------------------------


def write_dictionary(root: Path, tensors: dict[str, Any], **trainer: Any) -> None:
    save_pickle(root / "trainer_0" / "ae.pt", tensors)
    known = {"layer": 1, "lm_name": "tiny/llama", "activation_dim": D_IN, "dict_size": D_SAE}
    write_json(root / "trainer_0" / "config.json", {"trainer": {**known, **trainer}, "buffer": {}})


def test_dictionary_learning_autoencoder(bench: Any, x: Any, random_weights: Any) -> None:
    w = random_weights
    tensors = {
        "bias": w["b_dec"], "encoder.weight": w["encoder"], "encoder.bias": w["b_enc"],
        "decoder.weight": w["decoder"],
    }  # fmt: skip
    write_dictionary(bench.root, tensors, dict_class="AutoEncoder")
    bench.mend()
    latents = relu((x - w["b_dec"]) @ w["encoder"].T + w["b_enc"])
    assert_same(bench, "trainer_0", x, latents, latents @ w["decoder"].T + w["b_dec"])
    assert not (bench.out / "trainer_0" / "ae.pt").exists()


def test_dictionary_learning_topk_has_a_threshold_that_it_does_not_use(
    bench: Any, x: Any, largest: Any, random_weights: Any
) -> None:
    w = random_weights
    tensors = {
        "k": K, "threshold": 0.2, "b_dec": w["b_dec"], "encoder.weight": w["encoder"],
        "encoder.bias": w["b_enc"], "decoder.weight": w["decoder"],
    }  # fmt: skip
    write_dictionary(bench.root, tensors, dict_class="AutoEncoderTopK", k=K)
    bench.mend()
    latents = largest(relu((x - w["b_dec"]) @ w["encoder"].T + w["b_enc"]), K)
    assert_same(bench, "trainer_0", x, latents, latents @ w["decoder"].T + w["b_dec"])
    assert bench.cfg("trainer_0")["k"] == K


def test_dictionary_learning_batchtopk_is_a_jumprelu_of_one_threshold(
    bench: Any, x: Any, random_weights: Any
) -> None:
    w = random_weights
    tensors = {
        "k": K, "threshold": 0.2, "b_dec": w["b_dec"], "encoder.weight": w["encoder"],
        "encoder.bias": w["b_enc"], "decoder.weight": w["decoder"],
    }  # fmt: skip
    write_dictionary(bench.root, tensors, dict_class="BatchTopKSAE", k=K)
    bench.mend()
    pre = relu((x - w["b_dec"]) @ w["encoder"].T + w["b_enc"])
    latents = pre * (pre > np.float32(0.2))
    assert_same(bench, "trainer_0", x, latents, latents @ w["decoder"].T + w["b_dec"])


def test_dictionary_learning_batchtopk_without_a_threshold_is_left(
    bench: Any, random_weights: Any
) -> None:
    w = random_weights
    tensors = {
        "k": K, "threshold": -1.0, "b_dec": w["b_dec"], "encoder.weight": w["encoder"],
        "encoder.bias": w["b_enc"], "decoder.weight": w["decoder"],
    }  # fmt: skip
    write_dictionary(bench.root, tensors, dict_class="BatchTopKSAE", k=K)
    mended = bench.mend()
    assert (mended.mends, [m.code for m in mended.left]) == ((), ["F006"])
    assert (bench.out / "trainer_0" / "ae.pt").exists()


def test_dictionary_learning_gated_has_the_decoder_norms_in_its_latents(
    bench: Any, x: Any, random_weights: Any
) -> None:
    w = random_weights
    decoder = w["decoder"] * w["uneven"]
    r_mag = 0.1 * w["b_enc"]
    tensors = {
        "decoder_bias": w["b_dec"], "encoder.weight": w["encoder"], "decoder.weight": decoder,
        "r_mag": r_mag, "gate_bias": -w["threshold"], "mag_bias": w["b_enc"],
    }  # fmt: skip
    write_dictionary(bench.root, tensors, dict_class="GatedAutoEncoder")
    bench.mend()
    x_enc = (x - w["b_dec"]) @ w["encoder"].T
    gate = x_enc - w["threshold"] > 0
    latents = gate * relu(np.exp(r_mag) * x_enc + w["b_enc"]) * w["uneven"]
    assert_same(bench, "trainer_0", x, latents, latents @ w["decoder"].T + w["b_dec"])


def test_dictionary_learning_jumprelu_does_not_subtract_b_dec(
    bench: Any, x: Any, random_weights: Any
) -> None:
    w = random_weights
    tensors = {
        "W_enc": w["encoder"].T.copy(), "W_dec": (w["decoder"] * w["uneven"]).T.copy(),
        "b_enc": w["b_enc"], "b_dec": w["b_dec"], "threshold": w["threshold"],
    }  # fmt: skip
    write_dictionary(bench.root, tensors, dict_class="JumpReluAutoEncoder")
    bench.mend()
    pre = x @ w["encoder"].T + w["b_enc"]
    latents = relu(pre * (pre > w["threshold"])) * w["uneven"]
    assert_same(bench, "trainer_0", x, latents, latents @ w["decoder"].T + w["b_dec"])


def test_a_dictionary_without_a_config_is_not_guessed_between_topk_and_batchtopk(
    bench: Any, random_weights: Any
) -> None:
    w = random_weights
    tensors = {
        "k": K, "threshold": 0.2, "b_dec": w["b_dec"], "encoder.weight": w["encoder"],
        "encoder.bias": w["b_enc"], "decoder.weight": w["decoder"],
    }  # fmt: skip
    save_pickle(bench.root / "trainer_0" / "ae.pt", tensors)
    mended = bench.mend()
    assert (mended.mends, [m.code for m in mended.left]) == ((), ["F006"])


# --- Gemma Scope, Llama Scope, OpenMOSS ----------------------------------------------------------


def jumping(w: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    pre = x @ w["encoder"].T + w["b_enc"]
    return relu(pre) * (pre > w["threshold"])


def test_gemma_scope_1(bench: Any, x: Any, random_weights: Any) -> None:
    w = random_weights
    folder = "layer_1/average_l0_9"
    place = bench.root / folder
    place.mkdir(parents=True)
    np.savez(
        place / "params.npz",
        W_enc=w["encoder"].T, W_dec=w["decoder"].T, b_enc=w["b_enc"], b_dec=w["b_dec"],
        threshold=w["threshold"],
    )  # fmt: skip
    bench.mend()
    latents = jumping(w, x)
    assert_same(bench, folder, x, latents, latents @ w["decoder"].T + w["b_dec"])
    assert not (bench.out / folder / "params.npz").exists()


def test_an_npz_that_holds_objects_is_not_opened(bench: Any) -> None:
    place = bench.root / "layer_1"
    place.mkdir()
    np.savez(place / "params.npz", W_enc=np.array([{"a": 1}], dtype=object))
    mended = bench.mend()
    assert (mended.mends, [m.code for m in mended.left]) == ((), ["F005"])


def test_gemma_scope_2_with_its_config(bench: Any, x: Any, random_weights: Any) -> None:
    w = random_weights
    folder = "resid_post/layer_1_l0_small"
    tensors = {
        "w_enc": w["encoder"].T, "w_dec": w["decoder"].T, "b_enc": w["b_enc"],
        "b_dec": w["b_dec"], "threshold": w["threshold"],
    }  # fmt: skip
    save_safetensors(bench.root / folder / "params.safetensors", tensors)
    write_json(
        bench.root / folder / "config.json",
        {
            "architecture": "jump_relu",
            "model_name": "google/gemma-3-1b-pt",
            "hf_hook_point_in": "model.layers.1.output",
        },
    )
    bench.mend()
    latents = jumping(w, x)
    assert_same(bench, folder, x, latents, latents @ w["decoder"].T + w["b_dec"])
    assert bench.cfg(folder)["metadata"]["hf_hook_name"] == "model.layers.1"


def test_gemma_scope_2_transcoder_with_a_skip_connection(
    bench: Any, x: Any, random_weights: Any
) -> None:
    w = random_weights
    skip = np.random.default_rng(2).normal(size=(D_IN, D_IN)).astype(np.float32)
    folder = "transcoder/layer_1_l0_small_affine"
    tensors = {
        "w_enc": w["encoder"].T, "w_dec": w["decoder"].T, "b_enc": w["b_enc"],
        "b_dec": w["b_dec"], "threshold": w["threshold"], "affine_skip_connection": skip,
    }  # fmt: skip
    save_safetensors(bench.root / folder / "params.safetensors", tensors)
    bench.mend()
    assert bench.cfg(folder)["architecture"] == "jumprelu_skip_transcoder"
    latents = jumping(w, x)
    np.testing.assert_allclose(bench.latents(x, folder), latents, rtol=1e-4, atol=1e-5)
    intended = latents @ w["decoder"].T + w["b_dec"] + x @ skip
    np.testing.assert_allclose(bench.reconstructions(x, folder), intended, rtol=1e-4, atol=1e-4)


def test_llama_scope_folds_the_scale_into_weights_and_threshold(
    bench: Any, x: Any, random_weights: Any
) -> None:
    w = random_weights
    folder = "Llama-L1R-4x"
    decoder = w["decoder"] * w["uneven"]
    tensors = {
        "encoder.weight": w["encoder"], "encoder.bias": w["b_enc"], "decoder.weight": decoder,
        "decoder.bias": w["b_dec"],
    }  # fmt: skip
    save_safetensors(bench.root / folder / "checkpoints" / "final.safetensors", tensors)
    hyperparams = {
        "hook_point_in": "blocks.1.hook_resid_post", "hook_point_out": "blocks.1.hook_resid_post",
        "d_model": D_IN, "d_sae": D_SAE, "act_fn": "jumprelu", "jump_relu_threshold": 0.2,
        "norm_activation": "dataset-wise", "sparsity_include_decoder_norm": True,
        "dataset_average_activation_norm": {"in": 2.0, "out": 2.0},
    }  # fmt: skip
    write_json(bench.root / folder / "hyperparams.json", hyperparams)
    bench.mend()
    # s = sqrt(16) / 2 = 2; the mask compares norm * pre with s * 0.2 = 0.4.
    pre = (2 * x) @ w["encoder"].T + w["b_enc"]
    latents = pre * (pre * w["uneven"] > np.float32(0.4))
    assert_same(bench, folder, x, latents, (latents @ decoder.T + w["b_dec"]) / 2)


def test_openmoss_takes_the_exponential_of_its_log_threshold(
    bench: Any, x: Any, random_weights: Any
) -> None:
    w = random_weights
    tensors = {
        "encoder.weight": w["encoder"], "encoder.bias": w["b_enc"],
        "decoder.weight": w["decoder"], "decoder.bias": w["b_dec"],
        "log_jumprelu_threshold": np.log(w["threshold"]),
        "dataset_average_activation_norm.blocks.1.hook_resid_post": np.float32([2.0]),
    }  # fmt: skip
    save_safetensors(bench.root / "L1R" / "sae_weights.safetensors", tensors)
    config = {
        "hook_point_in": "blocks.1.hook_resid_post", "d_model": D_IN, "expansion_factor": 4,
        "act_fn": "jumprelu", "jump_relu_threshold": 0.0, "norm_activation": "dataset-wise",
    }  # fmt: skip
    write_json(bench.root / "L1R" / "config.json", config)
    bench.mend()
    pre = (2 * x) @ w["encoder"].T + w["b_enc"]
    latents = pre * (pre > w["threshold"])
    assert_same(bench, "L1R", x, latents, (latents @ w["decoder"].T + w["b_dec"]) / 2)


def test_openmoss_that_scales_each_vector_is_left(bench: Any, random_weights: Any) -> None:
    w = random_weights
    tensors = {
        "encoder.weight": w["encoder"], "encoder.bias": w["b_enc"],
        "decoder.weight": w["decoder"], "decoder.bias": w["b_dec"],
    }  # fmt: skip
    save_safetensors(bench.root / "L1R" / "sae_weights.safetensors", tensors)
    config = {"d_model": D_IN, "expansion_factor": 4, "norm_activation": "token-wise"}
    write_json(bench.root / "L1R" / "config.json", config)
    mended = bench.mend()
    assert (mended.mends, [m.code for m in mended.left]) == ((), ["C008"])


def test_qwen_scope_has_its_k_in_the_name_of_the_repository(
    bench: Any, x: Any, largest: Any, random_weights: Any, tmp_path: Path
) -> None:
    w = random_weights
    bench.root = tmp_path / "SAE-Res-Qwen3-1.7B-Base-W32K-L0_9"
    tensors = {
        "W_enc": w["encoder"], "W_dec": w["decoder"], "b_enc": w["b_enc"], "b_dec": w["b_dec"],
    }  # fmt: skip
    save_pickle(bench.root / "layer1.sae.pt", tensors)
    bench.mend()
    latents = largest(x @ w["encoder"].T + w["b_enc"], 9)
    assert_same(bench, "layer1", x, latents, latents @ w["decoder"].T + w["b_dec"])


# --- plain pickles -------------------------------------------------------------------------------


@pytest.mark.parametrize("nested", [False, True])
def test_a_pickled_state_dict_with_a_config_beside_it(
    bench: Any, sae_of: Any, flat: Any, x: Any, nested: bool
) -> None:
    sae = sae_of("jumprelu")
    place = bench.root / "layer_1"
    write_json(place / "cfg.json", flat(sae.cfg))
    tensors = {name: torch.from_numpy(values) for name, values in sae.tensors.items()}
    torch.save({"state_dict": tensors} if nested else tensors, place / "sae_weights.pth")
    mended = bench.mend()
    assert mended.left == ()
    assert bench.problems() == []
    np.testing.assert_allclose(bench.latents(x, "layer_1"), sae.latents(x), rtol=1e-4, atol=1e-5)
    assert "weights_only" in mended.mends[0].why


def test_a_bfloat16_pickle_keeps_its_values_and_its_dtype(
    bench: Any, sae_of: Any, flat: Any, x: Any
) -> None:
    sae = sae_of("topk")
    halves = {n: torch.from_numpy(t).bfloat16() for n, t in sae.tensors.items()}
    for name, half in halves.items():
        sae.tensors[name] = half.float().numpy()
    write_json(bench.root / "layer_1" / "cfg.json", {**flat(sae.cfg), "dtype": "bfloat16"})
    torch.save(halves, bench.root / "layer_1" / "sae_weights.pth")
    bench.mend()
    assert bench.cfg("layer_1")["dtype"] == "bfloat16"
    np.testing.assert_allclose(bench.latents(x, "layer_1"), sae.latents(x), rtol=1e-4, atol=1e-5)


def test_linear_layers_that_do_not_say_whether_b_dec_is_subtracted_are_left(
    bench: Any, random_weights: Any
) -> None:
    w = random_weights
    tensors = {
        "encoder.weight": w["encoder"], "encoder.bias": w["b_enc"],
        "decoder.weight": w["decoder"], "decoder.bias": w["b_dec"],
    }  # fmt: skip
    save_pickle(bench.root / "sae" / "sae.pt", tensors)
    write_json(bench.root / "sae" / "cfg.json", {"architecture": "standard"})
    mended = bench.mend()
    assert (mended.mends, [m.code for m in mended.left]) == ((), ["F006"])


class Planted:
    """Unpickled, it would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.write_text, (self.target, "run")


@pytest.mark.parametrize("name", ["sae/sae.pt", "trainer_0/ae.pt", "sae/sae_weights.bin"])
def test_code_in_a_pickle_is_not_run(
    bench: Any, sae_of: Any, flat: Any, tmp_path: Path, name: str
) -> None:
    target = tmp_path / "planted"
    path = bench.root / name
    path.parent.mkdir(parents=True)
    torch.save({"W_enc": torch.zeros(16, 64), "more": Planted(target)}, path)
    write_json(path.with_name("cfg.json"), flat(sae_of("topk").cfg))
    mended = bench.mend()
    assert not target.exists()
    assert mended.mends == ()
    assert any("wants to run" in m.what for m in mended.left), mended.left
    assert (bench.out / name).read_bytes() == path.read_bytes()
