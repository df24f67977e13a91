from pathlib import Path
from typing import Any

import pytest
import torch

from manifests.base_model import BaseModelSpec
from manifests.completions import Completion
from manifests.progress import Silent
from retrain.activations import HookProblem, capture
from validators.base_models.base_model import BaseModel, completion_token_ids, load_base_model

HOOKS = ("model.layers.0", "model.layers.1")


@pytest.fixture(scope="module")
def base(tiny_checkpoint: Path) -> BaseModel:
    spec = BaseModelSpec.model_validate(
        {"id": "someone/tiny-llama", "model_type": "llama", "n_layers": 2, "d_model": 16}
    )
    return load_base_model(spec, override=str(tiny_checkpoint))


def _capture(base: BaseModel, rows: Any, **options: Any) -> dict[str, torch.Tensor]:
    pooling = options.pop("pooling", "last_token")
    return capture(base, rows, HOOKS, pooling, progress=Silent(), **options)[0]


def test_the_last_token_of_block_0_is_transformers_hidden_state_1(
    base: BaseModel, completions: tuple[Completion, ...]
) -> None:
    vectors = _capture(base, completions[:5])
    for row, completion in enumerate(completions[:5]):
        ids, _ = completion_token_ids(base.tokenizer, completion)
        hidden = base.model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        torch.testing.assert_close(vectors[HOOKS[0]][row], hidden[1][0, -1], rtol=1e-4, atol=1e-5)


def test_completion_mean_leaves_the_prompt_out(
    base: BaseModel, completions: tuple[Completion, ...]
) -> None:
    vectors = _capture(base, completions[:6], pooling="completion_mean")
    ids, n_prompt = completion_token_ids(base.tokenizer, completions[5])
    assert len(ids) - n_prompt == 6
    hidden = base.model(torch.tensor([ids]), output_hidden_states=True).hidden_states
    expected = hidden[1][0, n_prompt:].mean(dim=0)
    torch.testing.assert_close(vectors[HOOKS[0]][5], expected, rtol=1e-4, atol=1e-5)


def test_other_families_give_transformers_hidden_states_too(
    base: BaseModel, completions: tuple[Completion, ...]
) -> None:
    """Their caches and masks are their own; learned positions must go on after the prompt."""
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"vocab_size": 20, "num_hidden_layers": 2, "hidden_size": 16}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 32}
    configs = {
        "transformer.h.0": AutoConfig.for_model(
            "gpt2", vocab_size=20, n_layer=2, n_embd=16, n_head=2, bos_token_id=0, eos_token_id=0
        ),
        "gpt_neox.layers.0": AutoConfig.for_model("gpt_neox", **sizes, **heads),
        "model.layers.0": AutoConfig.for_model("nanochat", **sizes, **heads),
    }
    rows = completions[:7]
    for hook_name, config in configs.items():
        model = AutoModelForCausalLM.from_config(config).eval()
        other = BaseModel(model=model, tokenizer=base.tokenizer, digest="", source="")
        vectors, _ = capture(other, rows, (hook_name,), "completion_mean", progress=Silent())
        for row, completion in enumerate(rows):
            ids, n_prompt = completion_token_ids(base.tokenizer, completion)
            with torch.no_grad():
                states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
            torch.testing.assert_close(
                vectors[hook_name][row], states[1][0, n_prompt:].mean(0), rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("pooling", ["last_token", "completion_mean"])
def test_the_batch_size_changes_nothing_beyond_rounding(
    base: BaseModel, completions: tuple[Completion, ...], pooling: str
) -> None:
    alone = _capture(base, completions, pooling=pooling, max_batch_tokens=1)
    together = _capture(base, completions, pooling=pooling, max_batch_tokens=10_000)
    for name in HOOKS:
        assert alone[name].shape == (40, 16)
        # Padded batches sum in another order: float32 noise, far below the activations' 1.
        torch.testing.assert_close(alone[name], together[name], rtol=1e-4, atol=1e-5)


def test_vectors_come_in_the_order_of_the_completions(
    base: BaseModel, completions: tuple[Completion, ...]
) -> None:
    forward, backward = _capture(base, completions), _capture(base, completions[::-1])
    torch.testing.assert_close(forward[HOOKS[1]], backward[HOOKS[1]].flip(0), rtol=1e-4, atol=1e-5)


def test_later_blocks_are_not_run(base: BaseModel, completions: tuple[Completion, ...]) -> None:
    ran = []
    handle = base.model.get_submodule(HOOKS[1]).register_forward_hook(
        lambda module, args, output: ran.append(1)
    )
    try:
        capture(base, completions[:3], HOOKS[:1], "last_token", progress=Silent())
    finally:
        handle.remove()
    assert ran == []


def test_no_hook_stays_on_the_model(base: BaseModel, completions: tuple[Completion, ...]) -> None:
    # transformers may have hooks of its own.
    before = [len(module._forward_hooks) for module in base.model.modules()]
    _capture(base, completions[:3])
    assert [len(module._forward_hooks) for module in base.model.modules()] == before


def test_a_missing_module_is_named(base: BaseModel, completions: tuple[Completion, ...]) -> None:
    with pytest.raises(HookProblem, match=r"no module transformer\.h\.0"):
        capture(base, completions, ("transformer.h.0",), "last_token", progress=Silent())


def test_a_module_that_never_runs_is_named(
    base: BaseModel, completions: tuple[Completion, ...]
) -> None:
    # The list of blocks is a module, and nothing calls it.
    with pytest.raises(HookProblem, match=r"never fired on model\.layers"):
        capture(base, completions, ("model.layers",), "last_token", progress=Silent())
