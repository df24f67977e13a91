"""Whatever config and tensors a stranger writes: a copy, a list, no crash, no memory taken."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from manifests.progress import Silent
from validators.mending.mend import mend
from validators.reading.local_repository import LocalRepository
from validators.saelens.config import PLACE_KEYS, SHARED_KEYS

NAMES = (
    "W_enc", "W_dec", "b_enc", "b_dec", "threshold", "log_threshold", "topk_threshold", "k",
    "scaling_factor", "b_gate", "b_mag", "r_mag", "encoder.weight", "decoder.weight",
    "encoder.bias", "log_jumprelu_threshold", "bias",
)  # fmt: skip
KEYS = sorted(
    SHARED_KEYS | PLACE_KEYS | {
        "k", "top_k", "activation_fn", "activation_fn_str", "activation_fn_kwargs", "hook_point",
        "rescale_acts_by_decoder_norm", "trainer", "d_model", "sae_type", "act_fn", "transcode",
        "norm_activation", "dataset_average_activation_norm", "hook_point_in", "expansion_factor",
        "num_latents", "jump_relu_threshold",
    }
)  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["topk", "jumprelu", "gated", "TopK", "batchtopk", "relu", "float32", "fp32", "cuda",
         "/home/jane", "blocks.1.hook_resid_post", "model.layers.1", "4", "\ud800", "dataset-wise",
         "expected_average_only_in", "6.0.0", "AutoEncoderTopK", "JumpReluAutoEncoder"]
    ),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["k", "dict_class", "in", "hook_name"]), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
SHAPES = st.sampled_from([(), (1,), (4,), (8,), (4, 8), (8, 4), (8, 8), (4, 8, 2), (0,), (0, 4)])


@settings(max_examples=40, deadline=None)
@given(
    cfg=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8),
    shapes=st.dictionaries(st.sampled_from(NAMES), SHAPES, min_size=1, max_size=7),
    dtype=st.sampled_from(["float32", "float16", "float64", "int8"]),
    fill=st.sampled_from([0.0, -3.0, 1.0, float("nan"), float("inf")]),
    files=st.sampled_from(
        [("cfg.json", "sae_weights.safetensors"), ("cfg.json", "sae.safetensors"),
         ("config.json", "params.safetensors"), ("config.json", "sae_weights.safetensors")]
    ),
)  # fmt: skip
def test_any_config_over_any_tensors_is_copied(
    cfg: dict[str, Any],
    shapes: dict[str, tuple[int, ...]],
    dtype: str,
    fill: float,
    files: tuple[str, str],
) -> None:
    random = np.random.default_rng(0)
    with TemporaryDirectory() as folder:
        root = Path(folder) / "saes"
        (root / "one").mkdir(parents=True)
        (root / "one" / files[0]).write_text(json.dumps(cfg), encoding="utf-8")
        tensors = {name: _values(random, shape, dtype, fill) for name, shape in shapes.items()}
        save_file(tensors, root / "one" / files[1])
        out = Path(folder) / "out"
        mended = mend(LocalRepository(root), None, out, progress=Silent())
        assert any(out.rglob("*")), "something is copied"
        assert all(m.code and m.what and m.why for m in (*mended.mends, *mended.left))
        assert {path.name for path in Path(folder).iterdir()} == {"saes", "out"}
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        assert size < 100_000, "nothing grows with a number in the config"


def _values(
    random: np.random.Generator, shape: tuple[int, ...], dtype: str, fill: float
) -> np.ndarray:
    """Normal values around `fill`; nothing but `fill` where it is not finite."""
    if np.isfinite(fill):
        return np.asarray(fill + 3 * random.normal(size=shape)).astype(dtype)
    return np.full(shape, 0 if dtype == "int8" else fill, dtype=dtype)


def test_a_config_that_is_nested_thousands_deep_is_copied_and_left(bench: Any, sae_of: Any) -> None:
    bench.write(sae_of("topk"))
    deep = '{"metadata": ' * 700 + "{}" + "}" * 700
    (bench.root / "layer_1" / "sae" / "cfg.json").write_text(deep, encoding="utf-8")
    mended = bench.mend()
    assert (mended.mends, [m.code for m in mended.left]) == ((), ["C001"])


def test_an_sae_at_the_root_of_the_repository_is_mended_there(
    bench: Any, sae_of: Any, flat: Any, x: Any
) -> None:
    sae = sae_of("topk")
    bench.write(sae, ".", cfg=flat(sae.cfg))
    assert {m.sae_id for m in bench.mend().mends} == {"."}
    np.testing.assert_allclose(bench.latents(x, "."), sae.latents(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("factor", ["null", "0", "-1", "true", '"2"', "[2]", "{"])
def test_a_scaler_file_without_a_usable_factor_folds_nothing(
    bench: Any, sae_of: Any, factor: str
) -> None:
    sae = sae_of("jumprelu")
    bench.write(sae, cfg={**sae.cfg, "normalize_activations": "expected_average_only_in"})
    text = '{"scaling_factor": ' + factor + "}"
    path = bench.root / "layer_1" / "sae" / "activation_scaler.json"
    path.write_text(text, encoding="utf-8")
    mended = bench.mend()
    assert (mended.mends, [m.code for m in mended.left]) == ((), ["C008"])
