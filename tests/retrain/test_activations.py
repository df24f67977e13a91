"""The vectors of a forward pass: which positions, in which order, how much of the model runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from manifests.base_model import BaseModelSpec
from manifests.completions import Completion
from manifests.data import PlainText, Pooling
from manifests.documents import Document
from retrain.activations.batches import plan
from retrain.activations.capture import ActivationProblem, HookProblem, reading
from retrain.activations.passages import (
    Passage,
    passages_of_completions,
    passages_of_documents,
)
from validators.base_models.base_model import BaseModel, completion_token_ids, load_base_model

HOOKS = ("model.layers.0", "model.layers.1")
WORDS = ["no", "yes", "the", "cup", "was", "broken", "by", "me", "you", "saw", "it", "never"]


@pytest.fixture(scope="module")
def base(tiny_checkpoint: Path) -> BaseModel:
    spec = BaseModelSpec.model_validate(
        {"id": "someone/tiny-llama", "model_type": "llama", "n_layers": 2, "d_model": 16}
    )
    return load_base_model(spec, override=str(tiny_checkpoint))


def read(
    base: BaseModel,
    passages: Sequence[Passage],
    pooling: Pooling = "last_token",
    hooks: Sequence[str] = HOOKS,
    max_batch_tokens: int = 2048,
    max_shard_vectors: int = 1 << 20,
) -> dict[str, torch.Tensor]:
    """All vectors, passage after passage."""
    passes = plan(
        passages, pooling, max_batch_tokens=max_batch_tokens, max_shard_vectors=max_shard_vectors
    )
    with reading(base, hooks, pooling) as reader:
        batches = [reader.read(passages, batch) for shard in passes.shards for batch in shard]
    return {name: torch.cat([b[name] for b in batches])[passes.order] for name in hooks}


def read_completions(base: BaseModel, rows: Sequence[Completion], **options: Any) -> Any:
    return read(base, passages_of_completions(base.tokenizer, rows), **options)


def hidden_states(base: BaseModel, ids: Sequence[int]) -> Any:
    with torch.no_grad():
        return base.model(torch.tensor([list(ids)]), output_hidden_states=True).hidden_states


def test_the_last_token_of_block_0_is_transformers_hidden_state_1(
    base: BaseModel, completions: tuple[Completion, ...]
) -> None:
    vectors = read_completions(base, completions[:5])
    for row, completion in enumerate(completions[:5]):
        ids, _ = completion_token_ids(base.tokenizer, completion)
        expected = hidden_states(base, ids)[1][0, -1]
        torch.testing.assert_close(vectors[HOOKS[0]][row], expected, rtol=1e-4, atol=1e-5)


def test_completion_mean_leaves_the_prompt_out(
    base: BaseModel, completions: tuple[Completion, ...]
) -> None:
    vectors = read_completions(base, completions[:6], pooling="completion_mean")
    ids, n_prompt = completion_token_ids(base.tokenizer, completions[5])
    assert len(ids) - n_prompt == 6
    expected = hidden_states(base, ids)[1][0, n_prompt:].mean(dim=0)
    torch.testing.assert_close(vectors[HOOKS[0]][5], expected, rtol=1e-4, atol=1e-5)


def test_every_token_gives_one_vector_of_each_token_of_the_completion(
    base: BaseModel, completions: tuple[Completion, ...]
) -> None:
    vectors = read_completions(base, completions[:7], pooling="every_token")
    expected = []
    for completion in completions[:7]:
        ids, n_prompt = completion_token_ids(base.tokenizer, completion)
        expected.append(hidden_states(base, ids)[1][0, n_prompt:])
    # Completions of 1 to 7 words: 1 + 2 + ... + 7 = 28.
    assert len(vectors[HOOKS[0]]) == 28
    torch.testing.assert_close(vectors[HOOKS[0]], torch.cat(expected), rtol=1e-4, atol=1e-5)


def test_a_text_is_read_in_contexts_and_its_first_positions_give_nothing(base: BaseModel) -> None:
    documents = [Document(str(n), " ".join(WORDS[: 4 + n])) for n in range(7)]
    text = PlainText(context_size=4, prepend_bos=False, skip_first=1)
    passages = passages_of_documents(base.tokenizer, documents, text)
    vectors = read(base, passages, "every_token")
    expected = []
    for document in documents:
        ids = base.tokenizer.encode(document.text)
        for start in range(0, len(ids), 4):
            context = ids[start : start + 4]
            if len(context) > 1:
                expected.append(hidden_states(base, context)[1][0, 1:])
    # 4 to 10 tokens: contexts of 4 | 4 (1 is dropped) | 4 2 | 4 3 | 4 4 | 4 4 | 4 4 2, each less
    # its first position: 3 + 3 + 4 + 5 + 6 + 6 + 7 = 34.
    assert len(vectors[HOOKS[0]]) == 34
    torch.testing.assert_close(vectors[HOOKS[0]], torch.cat(expected), rtol=1e-4, atol=1e-5)


def test_a_context_starts_with_the_first_token_where_the_text_asks_for_it(base: BaseModel) -> None:
    document = [Document("a", " ".join(WORDS[:6]))]
    base.tokenizer.bos_token = "<unk>"
    try:
        with_bos = passages_of_documents(base.tokenizer, document, PlainText(context_size=4))
    finally:
        base.tokenizer.bos_token = None
    assert [passage.own.tolist() for passage in with_bos] == [[0, 1, 2, 3], [0, 4, 5, 6]]
    without = passages_of_documents(base.tokenizer, document, PlainText(context_size=4))
    assert [passage.own.tolist() for passage in without] == [[1, 2, 3, 4], [5, 6]]


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
    text = [
        Passage((), passage.own, skip=0)
        for passage in passages_of_completions(base.tokenizer, rows)
    ]
    for hook_name, config in configs.items():
        model = AutoModelForCausalLM.from_config(config).eval()
        other = BaseModel(model=model, tokenizer=base.tokenizer, digest="", source="")
        means = read_completions(other, rows, pooling="completion_mean", hooks=(hook_name,))
        tokens = read(other, text, "every_token", hooks=(hook_name,))[hook_name]
        for row, completion in enumerate(rows):
            ids, n_prompt = completion_token_ids(base.tokenizer, completion)
            torch.testing.assert_close(
                means[hook_name][row],
                hidden_states(other, ids)[1][0, n_prompt:].mean(0),
                rtol=1e-4,
                atol=1e-5,
            )
        alone = [hidden_states(other, passage.own.tolist())[1][0] for passage in text]
        torch.testing.assert_close(tokens, torch.cat(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["last_token", "completion_mean", "every_token"])
def test_the_batch_size_changes_nothing_beyond_rounding(
    base: BaseModel, completions: tuple[Completion, ...], pooling: Pooling
) -> None:
    alone = read_completions(base, completions, pooling=pooling, max_batch_tokens=1)
    together = read_completions(base, completions, pooling=pooling, max_batch_tokens=10_000)
    for name in HOOKS:
        assert alone[name].shape[1] == 16
        # Padded batches sum in another order: float32 noise, far below the activations' 1.
        torch.testing.assert_close(alone[name], together[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pooling", ["last_token", "completion_mean", "every_token"])
def test_where_shards_end_changes_not_a_bit_of_a_completions_vectors(
    base: BaseModel, completions: tuple[Completion, ...], pooling: Pooling
) -> None:
    one = read_completions(base, completions, pooling=pooling, max_batch_tokens=20)
    many = read_completions(
        base, completions, pooling=pooling, max_batch_tokens=20, max_shard_vectors=3
    )
    for name in HOOKS:
        assert torch.equal(one[name], many[name])


def test_vectors_come_in_the_order_of_the_completions(
    base: BaseModel, completions: tuple[Completion, ...]
) -> None:
    forward, backward = (
        read_completions(base, completions),
        read_completions(base, completions[::-1]),
    )
    torch.testing.assert_close(forward[HOOKS[1]], backward[HOOKS[1]].flip(0), rtol=1e-4, atol=1e-5)


def test_completions_of_several_prompts_are_read_after_their_own(
    base: BaseModel, completions: tuple[Completion, ...]
) -> None:
    rows = [
        row.model_copy(update={"opening": WORDS[number % 3]})
        for number, row in enumerate(completions[:9])
    ]
    vectors = read_completions(base, rows)
    for number, row in enumerate(rows):
        ids, _ = completion_token_ids(base.tokenizer, row)
        expected = hidden_states(base, ids)[1][0, -1]
        torch.testing.assert_close(vectors[HOOKS[0]][number], expected, rtol=1e-4, atol=1e-5)


def test_neither_later_blocks_nor_the_output_head_are_run(
    base: BaseModel, completions: tuple[Completion, ...]
) -> None:
    ran = []
    handles = [
        base.model.get_submodule(name).register_forward_hook(
            lambda module, args, output, name=name: ran.append(name)
        )
        for name in (HOOKS[1], "model.norm", "lm_head")
    ]
    try:
        read_completions(base, completions[:3], hooks=HOOKS[:1])
    finally:
        for handle in handles:
            handle.remove()
    assert ran == []


def test_no_hook_stays_on_the_model(base: BaseModel, completions: tuple[Completion, ...]) -> None:
    # transformers may have hooks of its own.
    before = [len(module._forward_hooks) for module in base.model.modules()]
    read_completions(base, completions[:3])
    assert [len(module._forward_hooks) for module in base.model.modules()] == before


def test_half_precision_stays_what_it_is_and_means_are_float32(
    tiny_checkpoint: Path, completions: tuple[Completion, ...]
) -> None:
    spec = BaseModelSpec.model_validate(
        {
            "id": "someone/tiny-llama",
            "model_type": "llama",
            "n_layers": 2,
            "d_model": 16,
            "precision": {"weights": "bf16", "compute": "bf16"},
        }
    )
    half = load_base_model(spec, override=str(tiny_checkpoint))
    assert read_completions(half, completions[:3])[HOOKS[0]].dtype == torch.bfloat16
    means = read_completions(half, completions[:3], pooling="completion_mean")
    assert means[HOOKS[0]].dtype == torch.float32


def test_activations_that_are_not_finite_are_refused(
    tiny_checkpoint: Path, completions: tuple[Completion, ...]
) -> None:
    spec = BaseModelSpec.model_validate(
        {"id": "someone/tiny-llama", "model_type": "llama", "n_layers": 2, "d_model": 16}
    )
    broken = load_base_model(spec, override=str(tiny_checkpoint))
    with torch.no_grad():
        broken.model.get_parameter("model.layers.0.mlp.down_proj.weight").fill_(float("inf"))
    with pytest.raises(ActivationProblem, match=r"activations of model\.layers\.0 are not finite"):
        read_completions(broken, completions[:3])


def test_a_missing_module_is_named(base: BaseModel, completions: tuple[Completion, ...]) -> None:
    with pytest.raises(HookProblem, match=r"no module transformer\.h\.0"):
        read_completions(base, completions, hooks=("transformer.h.0",))


def test_a_module_that_never_runs_is_named(
    base: BaseModel, completions: tuple[Completion, ...]
) -> None:
    # The list of blocks is a module, and nothing calls it.
    with pytest.raises(HookProblem, match=r"never fired on model\.layers"):
        read_completions(base, completions, hooks=("model.layers",))
