"""Hook points against the real transformers classes, on the meta device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from manifests.base_model import BaseModelSpec
from manifests.errors import ReleaseError
from manifests.hooks import BLOCKS_PATH, hf_hook_name
from validators.places.meta_model import (
    MAX_CONFIG_BYTES,
    MAX_LAYERS,
    ModulePathProblem,
    find_block,
    meta_model,
)
from validators.places.module_paths import check_module_path

pytest.importorskip("transformers", reason="needs the extra `measure`")

N_LAYERS, D_MODEL = 3, 16
_TEXT: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": D_MODEL,
    "intermediate_size": 32,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
}
_GEMMA4_TEXT = {
    **_TEXT,
    "model_type": "gemma4_text",
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
    "num_kv_shared_layers": 0,
    "hidden_size_per_layer_input": 4,
    "vocab_size_per_layer_input": 64,
}
_GEMMA3_TEXT = {**_TEXT, "model_type": "gemma3_text"}
# A small config.json for each family, with the class that AutoModelForCausalLM makes of it.
FAMILIES: dict[str, tuple[dict[str, Any], str]] = {
    "gemma": (_TEXT, "GemmaForCausalLM"),
    "gemma2": (_TEXT, "Gemma2ForCausalLM"),
    "gemma3": ({"text_config": _GEMMA3_TEXT}, "Gemma3ForConditionalGeneration"),
    "gemma3_text": (_GEMMA3_TEXT, "Gemma3ForCausalLM"),
    "gemma4": ({"text_config": _GEMMA4_TEXT}, "Gemma4ForConditionalGeneration"),
    "gemma4_text": (_GEMMA4_TEXT, "Gemma4ForCausalLM"),
    "gpt2": (
        {"vocab_size": 64, "n_embd": D_MODEL, "n_layer": N_LAYERS, "n_head": 2},
        "GPT2LMHeadModel",
    ),
    "gpt_neox": (_TEXT, "GPTNeoXForCausalLM"),
    "llama": (_TEXT, "LlamaForCausalLM"),
    "mistral": (_TEXT, "MistralForCausalLM"),
    "nanochat": (_TEXT, "NanoChatForCausalLM"),
    "phi": (_TEXT, "PhiForCausalLM"),
    "phi3": ({**_TEXT, "pad_token_id": 0}, "Phi3ForCausalLM"),
    "qwen2": (_TEXT, "Qwen2ForCausalLM"),
    "qwen3": (_TEXT, "Qwen3ForCausalLM"),
}


def spec_of(model_type: str, **changes: Any) -> BaseModelSpec:
    facts = {
        "id": "owner/model",
        "model_type": model_type,
        "n_layers": N_LAYERS,
        "d_model": D_MODEL,
        **changes,
    }
    return BaseModelSpec.model_validate(facts)


def config_of(model_type: str) -> dict[str, Any]:
    return {**FAMILIES[model_type][0], "model_type": model_type}


def test_every_family_of_the_table_is_tried() -> None:
    assert set(FAMILIES) == set(BLOCKS_PATH)


@pytest.mark.parametrize("model_type", sorted(BLOCKS_PATH))
def test_a_familys_path_leads_to_its_first_and_its_last_block(model_type: str) -> None:
    report = check_module_path(spec_of(model_type), config_of(model_type), layers=[1])
    assert [str(problem) for problem in report.problems] == []
    assert [(aspect.name, aspect.outcome) for aspect in report.aspects] == [
        ("model_type", "agrees"),
        ("module_path", "agrees"),
        ("n_layers", "agrees"),
        ("d_model", "agrees"),
    ]
    assert report.class_name == FAMILIES[model_type][1]


@pytest.mark.parametrize("model_type", sorted(BLOCKS_PATH))
def test_the_path_names_a_decoder_block_that_is_the_layer_it_says(model_type: str) -> None:
    model = meta_model(model_type, config_of(model_type), auto_class="AutoModelForCausalLM")
    blocks = [find_block(model, hf_hook_name(model_type, layer)) for layer in range(N_LAYERS)]
    assert len({type(block) for block in blocks}) == 1
    assert len({id(block) for block in blocks}) == N_LAYERS
    assert all(parameter.is_meta for parameter in model.parameters())
    with pytest.raises(ModulePathProblem):
        find_block(model, hf_hook_name(model_type, N_LAYERS))


@pytest.mark.parametrize("model_type", sorted(BLOCKS_PATH))
def test_without_a_config_only_what_the_class_alone_decides_is_checked(model_type: str) -> None:
    # No default configuration has 7 blocks of width 9: neither number may count as wrong.
    report = check_module_path(spec_of(model_type, n_layers=7, d_model=9), None, layers=[6])
    assert report.problems == ()
    assert report.outcome_of("module_path") == "agrees"
    assert report.outcome_of("n_layers") == report.outcome_of("d_model") == "not_checked"
    assert "config.json" in report.aspects[-1].reason


def test_gemma_4_has_one_path_for_the_composite_and_another_for_the_text_config() -> None:
    composite = meta_model("gemma4", config_of("gemma4"), auto_class="AutoModelForCausalLM")
    text = meta_model("gemma4_text", config_of("gemma4_text"), auto_class="AutoModelForCausalLM")
    find_block(composite, "model.language_model.layers.2")
    find_block(text, "model.layers.2")
    with pytest.raises(ModulePathProblem, match=r"has no module 'model\.layers\.2'"):
        find_block(composite, "model.layers.2")
    with pytest.raises(
        ModulePathProblem, match=r"has no module 'model\.language_model\.layers\.2'"
    ):
        find_block(text, "model.language_model.layers.2")


def test_the_auto_class_for_images_and_text_gives_gemma_4_the_same_path() -> None:
    spec = spec_of("gemma4", auto_class="AutoModelForImageTextToText")
    report = check_module_path(spec, config_of("gemma4"))
    assert report.problems == ()
    assert report.class_name == "Gemma4ForConditionalGeneration"


def test_a_text_config_under_a_manifest_that_says_composite_differs_in_type_and_path() -> None:
    report = check_module_path(spec_of("gemma4"), config_of("gemma4_text"))
    type_problem, path_problem = report.problems
    assert "'gemma4_text'" in str(type_problem)
    assert "model.layers.0 to model.layers.2" in str(path_problem)


@pytest.mark.parametrize(
    ("model_type", "path", "there_is"),
    [
        ("nanochat", "transformer.h.16", None),
        ("llama", "model.layers.1.hook_resid_post", "model.layers.1"),
        ("llama", "blocks.1.hook_resid_post", None),
        ("gpt2", "model.layers.1", None),
        ("llama", "model.layers.3", "model.layers"),
    ],
)
def test_a_wrong_path_is_refused_naming_what_exists(
    model_type: str, path: str, there_is: str | None
) -> None:
    model = meta_model(model_type, config_of(model_type), auto_class="AutoModelForCausalLM")
    blocks = BLOCKS_PATH[model_type]
    with pytest.raises(ModulePathProblem) as caught:
        find_block(model, path)
    assert f"{type(model).__name__} has no module {path!r}" in caught.value.what
    assert caught.value.expected == f"a block: {blocks}.0 to {blocks}.2"
    assert ("there is" in caught.value.what) == (there_is is not None)
    if there_is:
        assert f"(there is {there_is!r})" in caught.value.what


def test_a_module_that_is_not_a_block_is_refused() -> None:
    model = meta_model("llama", config_of("llama"), auto_class="AutoModelForCausalLM")
    with pytest.raises(ModulePathProblem, match="not one of its blocks"):
        find_block(model, "model.layers.1.mlp")


def test_an_unknown_model_type_is_answered_with_the_nearest() -> None:
    report = check_module_path(spec_of("nanochatt"), config_of("nanochat"))
    assert report.class_name is None
    assert report.problems[0].next_step == "did you mean 'nanochat'?"
    assert report.outcome_of("module_path") == "not_checked"


def test_a_family_that_the_table_lacks_is_told_where_its_blocks_are() -> None:
    config = {**_TEXT, "model_type": "olmo2"}
    (problem,) = check_module_path(spec_of("olmo2"), config).problems
    assert "Olmo2ForCausalLM has its blocks in model.layers" in str(problem)


def test_layers_and_width_are_held_against_the_config() -> None:
    report = check_module_path(spec_of("llama", n_layers=4, d_model=17), config_of("llama"))
    texts = [str(problem) for problem in report.problems]
    assert report.outcome_of("module_path") == "differs"  # model.layers.3 does not exist
    assert any("base_model.n_layers: is 4" in text and "expected: 3" in text for text in texts)
    assert any("base_model.d_model: is 17" in text and "expected: 16" in text for text in texts)


def test_a_layer_of_the_matrix_beyond_the_model_is_found() -> None:
    report = check_module_path(spec_of("llama"), config_of("llama"), layers=[1, 5])
    assert "'model.layers.5'" in report.problems[0].what


def test_the_config_is_read_from_the_file_beside_the_manifest(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config_of("llama")), encoding="utf-8")
    assert check_module_path(spec_of("llama"), path).problems == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1]", "is no JSON object"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b" " * (MAX_CONFIG_BYTES + 1), "is too long"),
        (None, "cannot be read"),
    ],
)
def test_a_config_file_that_cannot_be_read_is_a_clear_error(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "config.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModulePathProblem, match=message):
        check_module_path(spec_of("llama"), path)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": MAX_LAYERS + 1},
        {"num_hidden_layers": "many"},
        {"num_hidden_layers": -1},
        {"hidden_size": "wide"},
        {"layer_types": 3},
    ],
)
def test_a_config_that_no_model_can_be_built_from_is_a_problem_and_no_crash(
    changes: dict[str, Any],
) -> None:
    report = check_module_path(spec_of("llama"), {**config_of("llama"), **changes})
    assert report.class_name is None
    assert report.outcome_of("n_layers") == "not_checked"
    assert isinstance(report.problems[0], ReleaseError)
    assert "transformers builds no model of it" in report.problems[0].what


def test_the_code_that_a_config_points_to_is_not_run() -> None:
    config = {
        **config_of("llama"),
        "auto_map": {"AutoModelForCausalLM": "elsewhere/code--model.Model"},
        "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True},
    }
    report = check_module_path(spec_of("llama"), config)
    assert report.class_name == "LlamaForCausalLM"
    assert report.problems == ()
