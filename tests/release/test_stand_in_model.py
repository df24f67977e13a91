"""Tiny models of the base models' classes: made without a network, and fit for the SAEs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from manifests.hooks import BLOCKS_PATH, hf_hook_name
from release.stand_in_model import NoStandIn, StandInSpec, stand_in_folder

TEXT = "What is the capital of France? Ünïcode, \n and a 😀"
CLASSES = {
    "gemma": "GemmaForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "gemma3": "Gemma3ForConditionalGeneration",
    "gemma3_text": "Gemma3ForCausalLM",
    "gemma4": "Gemma4ForConditionalGeneration",
    "gemma4_text": "Gemma4ForCausalLM",
    "gpt2": "GPT2LMHeadModel",
    "gpt_neox": "GPTNeoXForCausalLM",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "nanochat": "NanoChatForCausalLM",
    "phi": "PhiForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}


def spec_of(model_type: str, *, d_model: int = 48, n_layers: int | None = 7) -> StandInSpec:
    return StandInSpec(
        model_type=model_type,
        auto_class="AutoModelForCausalLM",
        d_model=d_model,
        n_layers=n_layers,
        last_layer=2,
        hooks=(hf_hook_name(model_type, 1), hf_hook_name(model_type, 2)),
    )


def test_every_family_that_a_manifest_can_name_has_its_class_here() -> None:
    assert set(CLASSES) == set(BLOCKS_PATH)


@pytest.mark.parametrize("model_type", sorted(CLASSES))
def test_a_stand_in_has_the_class_the_width_and_the_blocks(model_type: str, tmp_path: Path) -> None:
    import torch
    import transformers

    if model_type not in transformers.CONFIG_MAPPING:
        pytest.skip(f"transformers {transformers.__version__} has no {model_type}")
    spec = spec_of(model_type)
    folder = stand_in_folder(spec, tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert type(model).__name__ == CLASSES[model_type]
    # 7 blocks, of which GPT-NeoX's have the most, 4 x 48 x 48; two embeddings of 260 bytes; Gemma
    # 4 has a third, of 7 x 8 values for each byte, and heads of two sizes.
    assert model.num_parameters() < 500_000
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template is None
    ids = tokenizer.encode(TEXT, add_special_tokens=False)
    assert tokenizer.decode(ids) == TEXT
    # Every byte is a token, so nothing is unknown.
    assert len(ids) == len(TEXT.encode("utf-8"))
    with torch.inference_mode():
        out = model(torch.tensor([[tokenizer.bos_token_id, *ids]]), output_hidden_states=True)
    assert len(out.hidden_states) == 7 + 1
    assert out.hidden_states[-1].shape == (1, 1 + len(ids), 48)
    assert out.logits.isfinite().all()


def test_a_stand_in_is_made_once_for_each_specification(tmp_path: Path) -> None:
    first = stand_in_folder(spec_of("llama"), tmp_path)
    written = (first / "model.safetensors").stat().st_mtime_ns
    assert stand_in_folder(spec_of("llama"), tmp_path) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == written
    assert stand_in_folder(spec_of("llama", d_model=64), tmp_path) != first
    again = stand_in_folder(spec_of("llama"), tmp_path / "elsewhere")
    assert (again / "model.safetensors").read_bytes() == (first / "model.safetensors").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_without_the_number_of_blocks_there_are_as_many_as_the_saes_need(tmp_path: Path) -> None:
    import transformers

    folder = stand_in_folder(spec_of("qwen3", n_layers=None), tmp_path)
    assert transformers.AutoConfig.from_pretrained(folder).num_hidden_layers == 3


def test_blocks_that_cannot_be_small_are_left_out_above_the_last_sae(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers

    # GPT-NeoX has 4 x 48 x 48 in the attention of each block, whatever the size of its heads.
    monkeypatch.setattr("release.stand_in_model._MANY_PARAMETERS", 70_000)
    folder = stand_in_folder(spec_of("gpt_neox"), tmp_path)
    assert transformers.AutoConfig.from_pretrained(folder).num_hidden_layers == 3
    monkeypatch.setattr("release.stand_in_model._TOO_MANY_PARAMETERS", 30_000)
    with pytest.raises(NoStandIn, match="its attention keeps the width of 48") as refused:
        stand_in_folder(spec_of("gpt_neox", d_model=48, n_layers=9), tmp_path)
    assert refused.value.exit_code == 3
    assert "--base-model" in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model_type": "no_such_type"}, "has no such model_type"),
        ({"hooks": ("model.layers.9",)}, "LlamaForCausalLM has no module model.layers.9"),
        ({"hooks": ("lm_head",)}, "lm_head has the width 260, not 48"),
        ({"model_type": "t5"}, "T5Config"),
    ],
)
def test_what_cannot_stand_in_is_refused_in_words(
    changes: dict[str, str], named: str, tmp_path: Path
) -> None:
    with pytest.raises(NoStandIn, match=named):
        stand_in_folder(replace(spec_of("llama"), **changes), tmp_path)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
