"""Every precision of a manifest: truly quantised, close to float32, or refused with the reason."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from manifests.base_model import BaseModelSpec, Precision
from manifests.errors import MissingExtra
from validators.base_models import checkpoint_source, gguf_checkpoint
from validators.base_models.base_model import BaseModel, load_base_model
from validators.base_models.precisions import (
    PrecisionProblem,
    compute_capability,
    loading_arguments,
    refuse_missing_bf16,
)

D_MODEL = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """A random Llama as narrow as a block of 64 weights allows, with small weights."""
    path = tmp_path_factory.mktemp("base") / "narrow-llama"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path.mkdir(exist_ok=True)
        (path / name).write_bytes((tiny_checkpoint / name).read_bytes())
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=16,
        hidden_size=D_MODEL,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        initializer_range=0.1,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    return path


def a_spec(weights: str, compute: str, **precision: Any) -> BaseModelSpec:
    return BaseModelSpec.model_validate(
        {
            "id": "someone/narrow-llama",
            "model_type": "llama",
            "n_layers": 2,
            "d_model": D_MODEL,
            "precision": {"weights": weights, "compute": compute} | precision,
        }
    )


def first_block(base: BaseModel) -> torch.Tensor:
    with torch.inference_mode():
        states = base.model(torch.arange(1, 11)[None], output_hidden_states=True).hidden_states
    return states[1]


@pytest.fixture(scope="module")
def reference(folder: Path) -> torch.Tensor:
    return first_block(load_base_model(a_spec("fp32", "fp32"), override=str(folder)))


# Largest relative errors of the first block's output, each about twice what was measured: 0.009,
# 0.001, 0.021 and 0.022, 0.20 twice, 0.28.
CASES = [
    ("bf16", "bf16", {}, "Linear", torch.bfloat16, 0.02),
    ("fp16", "fp16", {}, "Linear", torch.float16, 0.002),
    ("int8", "fp32", {}, "Linear8bitLt", torch.int8, 0.05),
    ("int8", "fp16", {}, "Linear8bitLt", torch.int8, 0.05),
    ("nf4", "fp32", {}, "Linear4bit", torch.uint8, 0.4),
    ("nf4", "bf16", {"double_quantization": True}, "Linear4bit", torch.uint8, 0.4),
    ("fp4", "fp16", {}, "Linear4bit", torch.uint8, 0.5),
]


@pytest.mark.parametrize(("weights", "compute", "more", "module", "stored", "most"), CASES)
def test_each_precision_is_what_it_says_and_close_to_float32(
    folder: Path,
    reference: torch.Tensor,
    weights: str,
    compute: str,
    more: dict[str, Any],
    module: str,
    stored: torch.dtype,
    most: float,
) -> None:
    base = load_base_model(a_spec(weights, compute, **more), override=str(folder))
    for name in ("self_attn.q_proj", "mlp.down_proj"):
        layer: Any = base.model.get_submodule(f"model.layers.1.{name}")
        assert type(layer).__name__ == module
        assert layer.weight.dtype == stored
        if module == "Linear4bit":
            assert layer.weight.quant_state.quant_type == weights
            assert layer.weight.quant_state.nested == bool(more)
    assert not base.model.training
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    found = first_block(base)
    names = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    assert found.dtype == names[compute]
    assert bool(torch.isfinite(found).all())
    error = (found.float() - reference).norm() / reference.norm()
    assert 0 < float(error) < most


def test_a_packaged_model_is_dequantised_and_then_quantised(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = {
        "requirement": "tiny-weights==1.0",
        "module": "tiny_weights",
        "gguf_file": "tiny.gguf",
        "sha256": "a" * 64,
    }
    stated = a_spec("nf4", "fp32").model_dump() | {"package": package}
    spec = BaseModelSpec.model_validate(stated)
    monkeypatch.setenv(gguf_checkpoint.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(checkpoint_source, "converted_checkpoint", lambda *_: folder)
    base = load_base_model(spec)
    layer: Any = base.model.get_submodule("model.layers.0.mlp.up_proj")
    assert type(layer).__name__ == "Linear4bit"
    assert base.digest == "a" * 64


@pytest.mark.parametrize("package", ["bitsandbytes", "accelerate"])
def test_a_missing_package_names_its_extra_before_anything_is_fetched(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else real(name)
    )
    with pytest.raises(MissingExtra, match=f"a base model in nf4 needs the package {package}") as e:
        load_base_model(a_spec("nf4", "fp16"))
    assert "sae-release[measure]" in str(e.value)


@pytest.mark.parametrize(
    ("precision", "capability", "is_refused"),
    [
        ({"weights": "bf16", "compute": "bf16"}, (7, 5), True),
        ({"weights": "nf4", "compute": "bf16"}, (7, 5), True),
        ({"weights": "nf4", "compute": "fp16"}, (7, 5), False),
        ({"weights": "fp16", "compute": "fp16"}, (7, 5), False),
        ({"weights": "bf16", "compute": "bf16"}, (8, 0), False),
        ({"weights": "bf16", "compute": "bf16"}, (9, 0), False),
        ({"weights": "bf16", "compute": "bf16"}, None, False),
    ],
)
def test_bf16_needs_a_gpu_that_computes_it(
    precision: dict[str, str], capability: tuple[int, int] | None, is_refused: bool
) -> None:
    stated = Precision.model_validate(precision)
    if not is_refused:
        refuse_missing_bf16(stated, capability)
        return
    with pytest.raises(PrecisionProblem, match=r"compute capability 7\.5, which computes no bf16"):
        refuse_missing_bf16(stated, capability)


def test_a_cpu_has_no_compute_capability() -> None:
    assert compute_capability("cpu") is None


def test_quantised_weights_are_made_on_their_device() -> None:
    precision = Precision.model_validate({"weights": "int8", "compute": "fp16"})
    arguments = loading_arguments(precision, device="cuda:1")
    assert arguments["device_map"] == {"": "cuda:1"}
    assert arguments["quantization_config"].load_in_8bit
    assert "device_map" not in loading_arguments(
        Precision.model_validate({"weights": "fp16", "compute": "fp16"}), device="cuda:1"
    )
