"""From a hook name to the module that is read: held against TransformerLens, family by family."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
import transformers

from validators.places.block_anatomy import blocks_path
from validators.places.lens_names import place_at
from validators.places.neighbours import alternatives_of, lens_name_of, same_place, width_of
from validators.places.place import NoSuchPlace, Place, UnknownPlace, columns_of, declared_place

_LLAMA = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2,
    "num_key_value_heads": 1, "vocab_size": 32, "pad_token_id": 0, "bos_token_id": 0,
    "eos_token_id": 0,
}  # fmt: skip
_NEOX = {key: value for key, value in _LLAMA.items() if key != "num_key_value_heads"}
_WIDE_HEADS = {**_LLAMA, "head_dim": 12}
_GPT2 = {"vocab_size": 32, "n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 16}

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _WIDE_HEADS,
    "gemma": _WIDE_HEADS,
    "gemma2": _WIDE_HEADS,
    "gemma3_text": _WIDE_HEADS,
    "gemma4_text": {
        **_WIDE_HEADS,
        "global_head_dim": 12,
        "hidden_size_per_layer_input": 4,
        "vocab_size_per_layer_input": 32,
    },
    "gpt2": {**_GPT2, "bos_token_id": 0, "eos_token_id": 0},
    "gpt_neox": _NEOX,
    "phi": {**_LLAMA, "num_key_value_heads": 2},
    "phi3": _LLAMA,
    "nanochat": _LLAMA,
    "olmo2": _LLAMA,
    "glm4": {**_LLAMA, "head_dim": 8},
    "gpt_neo": {
        "vocab_size": 32, "hidden_size": 16, "num_layers": 3, "num_heads": 2, "bos_token_id": 0,
        "eos_token_id": 0, "attention_types": [[["global"], 3]], "max_position_embeddings": 16,
    },
    "gptj": {**_GPT2, "rotary_dim": 4, "bos_token_id": 0, "eos_token_id": 0},
    "mixtral": {**_LLAMA, "num_local_experts": 3},
}  # fmt: skip

RESIDUAL = ("hook_resid_pre", "hook_in", "hook_resid_post", "hook_out")
OTHERS = (
    "hook_resid_mid", "hook_attn_out", "attn.hook_out", "attn.hook_z", "hook_mlp_out",
    "mlp.hook_out", "mlp.hook_in", "mlp.hook_post", "ln1.hook_out", "ln2.hook_out",
    "ln1.hook_normalized", "ln2.hook_normalized", "ln2.hook_in",
)  # fmt: skip
# What TransformerBridge does not have of these, and why this project does not name it either.
WITHOUT: dict[str, set[str]] = {
    "gpt_neox": {"hook_resid_mid"},
    # One norm serves both sublayers.
    "phi": {"hook_resid_mid", "ln2.hook_out", "ln2.hook_in"},
    "gptj": {"hook_resid_mid", "ln2.hook_out", "ln2.hook_in"},
    # Its norms come after the sublayers; TransformerLens calls those ln1 and ln2.
    "olmo2": {"ln1.hook_out", "ln2.hook_out", "ln2.hook_in"},
    # Each expert has its own.
    "mixtral": {"mlp.hook_post"},
}


def config_of(family: str, **changes: Any) -> Any:
    return transformers.AutoConfig.for_model(family, **{**FAMILIES[family], **changes})


def random_model(family: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config_of(family, **changes)).eval()
    model.config.architectures = [type(model).__name__]
    # Fresh norms multiply by one, which would hide on which side of them a name lies.
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "ln_" in name:
                parameter.uniform_(0.5, 1.5)
    return model


def meta_of(family: str, **changes: Any) -> Any:
    with torch.device("meta"):
        return transformers.AutoModelForCausalLM.from_config(config_of(family, **changes))


def read(model: Any, places: Iterable[Place]) -> dict[Place, torch.Tensor]:
    """What goes into or comes out of modules in one pass over five tokens."""
    found: dict[Place, torch.Tensor] = {}

    def keep(place: Place) -> Callable[..., None]:
        def on_output(_module: Any, _args: Any, output: Any) -> None:
            found[place] = (output[0] if isinstance(output, tuple) else output).clone()

        def on_input(_module: Any, args: Any, kwargs: Any) -> None:
            found[place] = (args[0] if args else kwargs["hidden_states"]).clone()

        return on_output if place.side == "output" else on_input

    handles = []
    for place in places:
        module = model.get_submodule(place.module)
        if place.side == "output":
            handles.append(module.register_forward_hook(keep(place)))
        else:
            handles.append(module.register_forward_pre_hook(keep(place), with_kwargs=True))
    with torch.no_grad():
        model(torch.arange(1, 6)[None], use_cache=False)
    for handle in handles:
        handle.remove()
    return found


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    folder = tmp_path_factory.mktemp("tokenizer")
    model = WordLevel({"<s>": 0, "a": 1}, unk_token="<s>")
    special = {f"{kind}_token": "<s>" for kind in ("unk", "bos", "eos", "pad")}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(model), **special
    ).save_pretrained(folder)
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_lens_name_is_the_activation_that_transformer_lens_calls_so(
    family: str, tokenizer: Any
) -> None:
    from transformer_lens.model_bridge import TransformerBridge

    model = random_model(family)
    # The bridge rewires the model that it is given.
    bridge = TransformerBridge.boot_transformers(
        f"tiny/{family}", hf_model=copy.deepcopy(model), tokenizer=tokenizer, device="cpu"
    )
    with torch.no_grad():
        _, cache = bridge.run_with_cache(torch.arange(1, 6)[None], prepend_bos=False)
    expected, unknown = {}, set()
    for layer in range(3):
        for point in (*RESIDUAL, *OTHERS):
            name = f"blocks.{layer}.{point}"
            try:
                expected[name] = declared_place({"hook_name": name}, model)
            except (NoSuchPlace, UnknownPlace):
                unknown.add(point)
    has_weights = family != "nanochat"
    missing = {"ln1.hook_normalized", "ln2.hook_normalized"} if has_weights else set()
    assert unknown == missing | WITHOUT.get(family, set())
    found = read(model, set(expected.values()))
    for name, place in expected.items():
        lens = cache[name].reshape(1, 5, -1)
        torch.testing.assert_close(found[place], lens, atol=1e-5, rtol=1e-4, msg=f"{name} {place}")


def test_the_output_of_a_block_is_one_of_the_hidden_states_except_after_the_last() -> None:
    model = random_model("llama")
    places = [declared_place({"hook_name": f"blocks.{i}.hook_resid_post"}, model) for i in range(3)]
    found = read(model, places)
    with torch.no_grad():
        states = model(torch.arange(1, 6)[None], output_hidden_states=True).hidden_states
    assert torch.equal(found[places[0]], states[1])
    assert torch.equal(found[places[1]], states[2])
    assert not torch.equal(found[places[2]], states[3])
    norm = Place("model.norm")
    assert torch.equal(read(model, [norm])[norm], states[3])


@pytest.mark.parametrize("family", ["gemma3", "gemma4"])
def test_a_composite_model_has_its_blocks_one_level_deeper(family: str) -> None:
    config = transformers.AutoConfig.for_model(family)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    place = declared_place({"hook_name": "blocks.2.hook_mlp_out"}, model)
    assert str(place) == "model.language_model.layers.2.post_feedforward_layernorm"
    with pytest.raises(NoSuchPlace, match=r"no module 'model\.layers\.2'") as caught:
        declared_place({"hf_hook_name": "model.layers.2"}, model)
    assert "model.language_model.layers.0 to model.language_model.layers." in str(caught.value)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"hf_hook_name": "model.layers.1", "hook_name": "blocks.0.hook_out"}, "model.layers.1"),
        ({"hf_hook_name": None, "hook_name": "model.layers.1"}, "model.layers.1"),
        ({"hf_hook_name": "model.layers.1.output"}, "model.layers.1"),
        (
            {"hf_hook_name": "model.layers.1.self_attn.o_proj.input"},
            "model.layers.1.self_attn.o_proj (input)",
        ),
        ({"hook_name": "hook_embed"}, "model.embed_tokens"),
        ({"hook_name": "ln_final.hook_out"}, "model.norm"),
        ({"hook_name": "blocks.2.hook_resid_pre"}, "model.layers.2 (input)"),
    ],
)
def test_a_place_is_read_from_either_notation(metadata: dict[str, Any], expected: str) -> None:
    assert str(declared_place(metadata, meta_of("llama"))) == expected


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (None, NoSuchPlace, "neither hf_hook_name nor hook_name"),
        ("model.layers.1.hook_resid_post", NoSuchPlace, "neither a module's path nor a name"),
        ("model.layers.3", NoSuchPlace, "no module 'model.layers.3'"),
        ("blocks.3.hook_resid_post", NoSuchPlace, "layer 3 of a model with 3 blocks"),
        ("blocks.1.hook_resid_pst", NoSuchPlace, "expected: blocks.1.hook_resid_post"),
        ("blocks.1.attn.hook_q", UnknownPlace, "no module of transformers is known"),
        ("blocks.1.ln2.hook_normalized", UnknownPlace, "which module of LlamaForCausalLM"),
    ],
)
def test_a_name_that_leads_nowhere_says_why(
    name: str | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        declared_place({"hook_name": name}, meta_of("llama"))
    assert message in str(caught.value)


def test_a_granite_block_scales_what_it_adds_so_no_module_gives_it() -> None:
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(
            transformers.AutoConfig.for_model("granite", **_LLAMA)
        )
    with pytest.raises(UnknownPlace):
        declared_place({"hook_name": "blocks.1.hook_mlp_out"}, model)
    assert place_at("mlp_module_out", 1, model) == Place("model.layers.1.mlp")


def test_the_blocks_of_a_model_of_experts_are_not_its_experts() -> None:
    assert blocks_path(meta_of("mixtral", num_local_experts=3)) == ("model.layers", 3)


def test_alternatives_are_what_a_place_in_the_middle_is_confused_with() -> None:
    model = meta_of("llama", num_hidden_layers=6)
    found = {label: str(place) for label, place in alternatives_of(Place("model.layers.3"), model)}
    block = "model.layers.3"
    assert found == {
        "blocks.2.hook_resid_post": "model.layers.2",
        "blocks.4.hook_resid_post": "model.layers.4",
        "blocks.1.hook_resid_post": "model.layers.1",
        "blocks.5.hook_resid_post": "model.layers.5",
        "blocks.3.hook_resid_mid": f"{block}.post_attention_layernorm (input)",
        "blocks.3.hook_attn_out": f"{block}.self_attn",
        "blocks.3.hook_mlp_out": f"{block}.mlp",
        "blocks.3.attn.hook_z": f"{block}.self_attn.o_proj (input)",
        "blocks.3.ln1.hook_out": f"{block}.input_layernorm",
        "blocks.3.ln2.hook_out": f"{block}.post_attention_layernorm",
        "blocks.4.hook_resid_mid": "model.layers.4.post_attention_layernorm (input)",
        "blocks.4.ln1.hook_out": "model.layers.4.input_layernorm",
    }


def test_after_the_last_block_the_final_norm_is_an_alternative_and_no_layer_beyond() -> None:
    model = meta_of("gpt2")
    found = dict(alternatives_of(Place("transformer.h.2"), model))
    assert found["ln_final.hook_out"] == Place("transformer.ln_f")
    assert not [label for label in found if label.startswith(("blocks.3", "blocks.4"))]


def test_alternatives_have_the_width_of_the_place() -> None:
    # 2 heads of 12: the heads are 24 wide, the residual stream 16.
    model = meta_of("qwen3")
    labels = [label for label, _ in alternatives_of(Place("model.layers.1"), model)]
    assert "blocks.1.attn.hook_z" not in labels
    z = declared_place({"hook_name": "blocks.1.attn.hook_z"}, model)
    assert width_of(z, model) == 24
    assert [label for label, _ in alternatives_of(z, model)] == [
        "blocks.0.attn.hook_z",
        "blocks.2.attn.hook_z",
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_no_alternative_is_the_place_itself_or_another_one_again(family: str) -> None:
    model = random_model(family)
    for point in ("hook_resid_pre", "hook_resid_post", "hook_attn_out", "hook_mlp_out"):
        own = declared_place({"hook_name": f"blocks.1.{point}"}, model)
        places = [own, *(place for _, place in alternatives_of(own, model))]
        assert len(places) > 5
        found = list(read(model, places).values())
        for i, one in enumerate(found):
            assert not any(
                one.shape == other.shape and torch.equal(one, other) for other in found[:i]
            ), f"{places[i]} of {own}"


def test_the_input_of_a_block_is_the_output_of_the_block_before() -> None:
    model = meta_of("gemma2")
    assert same_place(Place("model.layers.1", "input"), model) == Place("model.layers.0")
    assert same_place(Place("model.layers.0", "input"), model) == Place("model.layers.0", "input")


@pytest.mark.parametrize(
    "name",
    ["blocks.1.hook_resid_post", "blocks.0.hook_resid_pre", "blocks.2.hook_mlp_out",
     "blocks.1.attn.hook_z", "blocks.1.hook_resid_mid"],
)  # fmt: skip
def test_a_place_goes_by_the_name_that_it_was_found_by(name: str) -> None:
    model = meta_of("gemma2")
    assert lens_name_of(declared_place({"hook_name": name}, model), model) == name


def test_one_head_is_its_own_columns_of_what_goes_into_the_projection() -> None:
    model = meta_of("qwen3")
    z = declared_place({"hook_name": "blocks.1.attn.hook_z"}, model)
    # 24 columns, 2 heads.
    assert columns_of({"hook_head_index": 1}, z, model) == slice(12, 24)
    assert columns_of({"hook_head_index": None}, z, model) == slice(None)
    with pytest.raises(NoSuchPlace, match="2 is no head"):
        columns_of({"hook_head_index": 2}, z, model)
    with pytest.raises(NoSuchPlace, match="0 is no head"):
        columns_of({"hook_head_index": 0}, Place("model.layers.1"), model)
