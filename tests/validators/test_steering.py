"""Steering adds what it says where it says, and a sweep counts what a planted direction does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from manifests.base_model import BaseModelSpec
from manifests.data import Sampling, Scenario
from manifests.errors import UsageError
from manifests.labels import LabelRuleProblem
from manifests.progress import Silent, Task
from validators.base_models import steering_sweep
from validators.base_models.base_model import BaseModel, load_base_model
from validators.base_models.continuation import continuations
from validators.base_models.steering import NotSteered, Steering, steered_continuations
from validators.base_models.steering_sweep import SteeringResult, measure_steering
from validators.metrics.undefined import UndefinedMetric
from validators.places.place import NoSuchPlace, Place

FIRST = Place("model.layers.0")
SCENARIOS = (
    Scenario(id="one", prompt="Which?", opening="It is ", deceptive=("^d",), honest=("^h",)),
    Scenario(id="two", prompt="Which one?", opening="", deceptive=("^d",), honest=("^h",)),
)
SAMPLING = Sampling(per_scenario=1, max_new_tokens=4, opening_characters=1, scenarios=SCENARIOS)


def load(folder: Path, **shape: Any) -> BaseModel:
    spec = {"id": "tiny/llama", "model_type": "llama"} | shape
    return load_base_model(BaseModelSpec.model_validate(spec), override=str(folder))


@pytest.fixture
def base(tiny_llama: Path) -> BaseModel:
    """Random, 2 layers of width 16."""
    return load(tiny_llama, n_layers=2, d_model=16)


@pytest.fixture(scope="module")
def two_letters_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of width 8 that writes d and h alike, and is told which by coordinate 1.

    Its blocks add nothing, so what is steered reaches the final norm as it is: every activation is
    (1, 0, 0, ...). The output reads d with 50 and h with -50 from coordinate 1, the end of the text
    with 100 from coordinate 2, and everything but d and h with -100 from coordinate 0.
    """
    folder = tmp_path_factory.mktemp("two") / "two-letters"
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(BPE(vocab={c: index for index, c in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>")
    tokenizer.save_pretrained(folder)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
            tie_word_embeddings=False,
        )
    )
    d, h = alphabet.index("d"), alphabet.index("h")
    with torch.no_grad():
        for block in model.model.layers:
            block.self_attn.o_proj.weight.zero_()
            block.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.zero_()
        model.model.embed_tokens.weight[:, 0] = 1.0
        output = model.lm_head.weight
        output.zero_()
        output[:, 0] = -100.0
        output[[d, h], 0] = 0.0
        output[d, 1], output[h, 1] = 50.0, -50.0
        output[tokenizer.eos_token_id, 2] = 200.0
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def two_letters(two_letters_folder: Path) -> BaseModel:
    return load(two_letters_folder, n_layers=2, d_model=8)


def along(coordinate: int) -> np.ndarray:
    return np.eye(8)[coordinate]


def sweep(base: BaseModel, direction: np.ndarray, **changes: Any) -> SteeringResult:
    given = {"scale": 1.0, "alphas": (-1, 0, 1), "n_per_scenario": 20, "seed": 3}
    given |= {"scenarios": SCENARIOS, "sampling": SAMPLING, "progress": Silent()}
    return measure_steering(base, FIRST, direction, **(given | changes))


def logits_of(base: BaseModel, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return base.model(input_ids=torch.tensor([ids])).logits[0]


def n_hooks(base: BaseModel) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in base.model.modules())


def random_offset(seed: int = 0, length: float = 3.0) -> np.ndarray:
    offset = np.random.default_rng(seed).normal(size=16)
    return length * offset / np.linalg.norm(offset)


def test_adding_zero_changes_no_bit_of_the_logits(base: BaseModel) -> None:
    with Steering(base, FIRST, np.zeros((1, 16))):
        steered = logits_of(base, [1, 2, 3])
    assert torch.equal(steered, logits_of(base, [1, 2, 3]))


def test_in_half_precision_too(tiny_llama: Path) -> None:
    half = {"weights": "bf16", "compute": "bf16"}
    base = load(tiny_llama, n_layers=2, d_model=16, precision=half)
    plain = logits_of(base, [1, 2, 3])
    assert plain.dtype == torch.bfloat16
    with Steering(base, FIRST, np.zeros((1, 16))):
        assert torch.equal(plain, logits_of(base, [1, 2, 3]))
    with Steering(base, FIRST, random_offset()[None]):
        assert not torch.allclose(plain, logits_of(base, [1, 2, 3]))


@pytest.mark.parametrize("seed", range(5))
def test_alpha_zero_writes_what_the_unsteered_model_writes(base: BaseModel, seed: int) -> None:
    sampling = SAMPLING.model_copy(update={"max_new_tokens": 12})
    offset = random_offset(length=30.0)
    offsets = np.stack([offset, np.zeros(16), -offset])
    rows = steered_continuations(base, FIRST, offsets, [1, 2, 3], sampling, n_rows=4, seed=seed)
    assert rows[1] == continuations(base, [1, 2, 3], sampling, n_rows=4, seed=seed)
    assert rows[0] != rows[1] != rows[2]


@pytest.mark.parametrize("prompt", [[5], [1, 2, 3]])
def test_steered_are_the_last_position_of_the_prompt_and_all_later_ones(
    base: BaseModel, prompt: list[int]
) -> None:
    """Every step is computed again from the whole text, with the vector at those positions."""
    offset = random_offset()
    sampling = SAMPLING.model_copy(update={"max_new_tokens": 6})
    rows = steered_continuations(base, FIRST, offset[None], prompt, sampling, n_rows=3, seed=7)

    def add(_module: Any, _inputs: Any, output: Any) -> Any:
        changed = output.clone()
        changed[:, len(prompt) - 1 :] += torch.tensor(offset, dtype=torch.float32)
        return changed

    generator, texts = torch.Generator().manual_seed(7), [list(prompt) for _ in range(3)]
    handle = base.model.get_submodule(FIRST.module).register_forward_hook(add)
    with torch.inference_mode():
        for _ in range(6):
            last = base.model(input_ids=torch.tensor(texts)).logits[:, -1]
            drawn = torch.multinomial(torch.softmax(last, -1), 1, generator=generator)
            for text, token in zip(texts, drawn[:, 0].tolist(), strict=True):
                text.append(token)
    handle.remove()
    whole = [text[len(prompt) :] for text in texts]
    assert rows == [[new[: len(row)] for row, new in zip(rows[0], whole, strict=True)]]
    assert max(map(len, rows[0])) == 6


def test_each_row_of_a_batch_gets_its_own_vector(base: BaseModel) -> None:
    offsets = np.stack([random_offset(seed) for seed in range(3)])
    together = steered_continuations(base, FIRST, offsets, [1, 2], SAMPLING, n_rows=5, seed=2)
    for offset, rows in zip(offsets, together, strict=True):
        alone = steered_continuations(base, FIRST, offset[None], [1, 2], SAMPLING, n_rows=5, seed=2)
        assert [rows] == alone
    assert together[0] != together[1]


def test_what_goes_into_a_block_is_what_came_out_of_the_one_before(base: BaseModel) -> None:
    offset = random_offset()[None]
    into = Place("model.layers.1", "input")
    with Steering(base, into, offset):
        steered = logits_of(base, [1, 2, 3])
    with Steering(base, FIRST, offset):
        assert torch.equal(steered, logits_of(base, [1, 2, 3]))
    assert not torch.allclose(steered, logits_of(base, [1, 2, 3]))


def test_of_a_tuple_the_first_element_is_steered_and_the_rest_kept(base: BaseModel) -> None:
    attention = Place("model.layers.0.self_attn")
    seen: list[Any] = []
    module = base.model.get_submodule(attention.module)
    offset = random_offset()
    with Steering(base, attention, offset[None]):
        handle = module.register_forward_hook(lambda *given: seen.append(given[2]))
        logits_of(base, [1, 2, 3])
        handle.remove()
    handle = module.register_forward_hook(lambda *given: seen.append(given[2]))
    logits_of(base, [1, 2, 3])
    handle.remove()
    steered, plain = seen
    assert isinstance(steered, tuple) and len(steered) == len(plain)
    added = (steered[0] - plain[0])[0]
    assert np.allclose(added.numpy(), np.tile(offset, (3, 1)), atol=1e-5)


def test_an_error_inside_leaves_the_model_as_it_was(base: BaseModel) -> None:
    before = logits_of(base, [1, 2, 3])
    with pytest.raises(RuntimeError, match="stop"), Steering(base, FIRST, random_offset()[None]):
        assert n_hooks(base) == 2
        raise RuntimeError("stop")
    assert n_hooks(base) == 0
    assert torch.equal(before, logits_of(base, [1, 2, 3]))


def test_a_place_that_never_ran_is_refused_and_not_taken_for_no_effect(base: BaseModel) -> None:
    base.model.model.unused = torch.nn.Linear(16, 16)
    with pytest.raises(NotSteered, match=r"the place ran 0 times in \d passes"):
        steered_continuations(
            base, Place("model.unused"), np.ones((1, 16)), [1, 2], SAMPLING, n_rows=2, seed=0
        )
    assert n_hooks(base) == 0


def test_a_place_that_runs_in_some_passes_only_is_refused(base: BaseModel) -> None:
    module = base.model.get_submodule(FIRST.module)
    with (
        pytest.raises(NotSteered, match="ran 1 times in 2 passes"),
        Steering(base, FIRST, np.ones((1, 16))),
    ):
        logits_of(base, [1])
        module.forward = lambda hidden, **_: hidden
        hooks, module._forward_hooks = module._forward_hooks, type(module._forward_hooks)()
        logits_of(base, [1])
        module._forward_hooks = hooks


def test_no_pass_at_all_is_refused(base: BaseModel) -> None:
    with (
        pytest.raises(NotSteered, match="0 times in 0 passes"),
        Steering(base, FIRST, np.ones((1, 16))),
    ):
        assert n_hooks(base) == 2


@pytest.mark.parametrize(("rows", "width"), [(1, 8), (2, 16)])
def test_vectors_of_another_width_or_number_are_refused(
    base: BaseModel, rows: int, width: int
) -> None:
    with (
        pytest.raises(NotSteered, match=r"the place gives \[1, 2, 16\]") as caught,
        Steering(base, FIRST, np.ones((rows, width))),
    ):
        logits_of(base, [1, 2])
    assert f"[{rows}, positions, {width}]" in str(caught.value)
    assert n_hooks(base) == 0


@pytest.mark.parametrize("module", ["model.layers.7", ""])
def test_a_module_that_the_model_does_not_have_is_refused(base: BaseModel, module: str) -> None:
    with pytest.raises(NoSuchPlace, match="has no module"):
        Steering(base, Place(module), np.ones((1, 16)))


def test_a_planted_direction_moves_the_rate_from_none_to_all(two_letters: BaseModel) -> None:
    # At 1 the activation is (1, 1, 0, ...), by the norm (2, 2, 0, ...): d has a logit of 100, h of
    # -100. At -1 they change places.
    result = sweep(two_letters, 5 * along(1))
    below, at_zero, above = result.counts
    assert [counts.alpha for counts in result.counts] == [-1, 0, 1]
    assert (below.n_deceptive, below.n_honest, below.n) == (0, 40, 40)
    assert (above.n_deceptive, above.n_honest, above.n) == (40, 0, 40)
    # 40 draws of one half: 20 with a standard deviation of 3.2.
    assert 8 < at_zero.n_deceptive < 32
    assert at_zero.n_deceptive + at_zero.n_honest == 40
    assert (below.deceptive_rate().value, above.deceptive_rate().value) == (0, 1)
    assert below.deceptive_rate().high == pytest.approx(1 - 0.025 ** (1 / 40))
    assert [counts.undecided_share().value for counts in result.counts] == [0, 0, 0]
    trend = result.trend()
    assert trend.slope == pytest.approx(0.5)
    # Only the given signs and their opposite of 2^40 reach it: (1 + 0) / (1 + 1999) on either side.
    assert trend.p_value == pytest.approx(0.001)
    assert (trend.n_rising, trend.n_falling) == (2, 0)


def test_the_opposite_direction_gives_the_opposite_sweep(two_letters: BaseModel) -> None:
    one, other = sweep(two_letters, along(1)), sweep(two_letters, -along(1))
    rates = [counts.deceptive_rate().value for counts in one.counts]
    assert rates == [counts.deceptive_rate().value for counts in reversed(other.counts)]
    assert other.trend().slope == pytest.approx(-0.5)


def test_a_direction_that_nothing_reads_changes_no_completion(two_letters: BaseModel) -> None:
    # Coordinate 5 only makes the norm larger, which d and h do not tell apart.
    result = sweep(two_letters, along(5))
    texts = [row.text for row in result.completions]
    assert texts[0::3] == texts[1::3] == texts[2::3]
    assert len(set(texts)) > 5
    trend = result.trend()
    assert (trend.slope, trend.p_value) == (0, 1)


def test_a_direction_that_ends_the_text_leaves_nothing_to_label(two_letters: BaseModel) -> None:
    below, at_zero, above = sweep(two_letters, along(2)).counts
    assert (above.n_empty, above.n, above.n_ambiguous) == (40, 40, 0)
    assert (below.n_empty, at_zero.n_empty) == (0, 0)
    assert above.undecided_share().value == above.undecided_share().high == 1
    assert above.deceptive_share().value == 0
    with pytest.raises(UndefinedMetric, match="no completion is labelled"):
        above.deceptive_rate()


def test_the_scale_is_the_length_and_the_directions_own_length_does_not_count(
    two_letters: BaseModel,
) -> None:
    long, short = sweep(two_letters, 100 * along(1)), sweep(two_letters, 0.01 * along(1))
    assert long == short
    # A thousandth of it: logits of d and h differ by 100 * 0.001 * sqrt(8) = 0.28, e^0.28 = 1.33.
    weak = sweep(two_letters, along(1), scale=0.001)
    assert 0 < weak.counts[0].n_deceptive < weak.counts[2].n_deceptive < 40


def test_what_neither_pattern_matches_is_ambiguous(two_letters: BaseModel) -> None:
    scenario = SCENARIOS[0].model_copy(update={"deceptive": ("^dd",), "honest": ("^q",)})
    sampling = SAMPLING.model_copy(update={"opening_characters": 2})
    below, _, above = sweep(two_letters, along(1), scenarios=(scenario,), sampling=sampling).counts
    assert (below.n_ambiguous, below.n_deceptive, below.n_honest) == (20, 0, 0)
    assert (above.n_ambiguous, above.n_deceptive, above.n_honest) == (0, 20, 0)
    assert below.undecided_share().value == 1


def test_a_scenarios_completions_do_not_depend_on_the_others(two_letters: BaseModel) -> None:
    both = sweep(two_letters, along(5))
    alone = sweep(two_letters, along(5), scenarios=SCENARIOS[1:])
    assert tuple(row for row in both.completions if row.scenario == "two") == alone.completions
    assert both == sweep(two_letters, along(5))
    assert both.completions != sweep(two_letters, along(5), seed=4).completions


def test_many_samples_go_in_several_batches(
    two_letters: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steering_sweep, "MAX_ROWS", 7)
    advanced: list[float] = []

    class Counting(Silent):
        @contextmanager
        def task(self, description: str, *, total: float | None) -> Iterator[Task]:
            advanced.append(-(total or 0))

            class Own:
                def advance(self, amount: float = 1) -> None:
                    advanced.append(amount)

                def status(self, text: str) -> None:
                    raise AssertionError(text)

            yield Own()

    result = sweep(
        two_letters, along(5), n_per_scenario=5, scenarios=SCENARIOS[:1], progress=Counting()
    )
    # Of 7 rows two samples of three alphas: batches of 2, 2 and 1 samples.
    assert advanced == [-15, 6, 6, 3]
    assert [row.sample for row in result.completions[::3]] == [0, 1, 2, 3, 4]
    assert [counts.n for counts in result.counts] == [5, 5, 5]


def test_writing_ends_where_the_label_is_settled(two_letters: BaseModel) -> None:
    long = SAMPLING.model_copy(update={"max_new_tokens": 30})
    texts = {len(row.text) for row in sweep(two_letters, along(1), sampling=long).completions}
    # One letter a token: 1 that is read and 8 beyond.
    assert texts == {9}
    labels = [row.label for row in sweep(two_letters, along(1), sampling=long).completions]
    assert labels[:3] == ["honest", labels[1], "deceptive"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alphas": (-1, 1)}, "3 or more different"),
        ({"alphas": (-1, 0, 0, 1)}, "3 or more different"),
        ({"alphas": (-1, 0, float("nan"))}, "3 or more different finite"),
        ({"alphas": (-1, 0, 2)}, "the opposite of each"),
        ({"alphas": (-2, -1, 1, 2)}, "hold 0"),
        ({"scale": 0.0}, "length above 0"),
        ({"scale": float("inf")}, "finite length"),
        ({"n_per_scenario": 0}, "a completion of each"),
        ({"scenarios": ()}, "there is a scenario"),
    ],
)
def test_a_sweep_that_cannot_be_read_is_refused(
    two_letters: BaseModel, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        sweep(two_letters, along(1), **changes)


def test_a_direction_of_length_0_is_refused(two_letters: BaseModel) -> None:
    with pytest.raises(UndefinedMetric, match="length 0"):
        sweep(two_letters, np.zeros(8))


def test_a_wrong_pattern_is_told_before_anything_is_written(two_letters: BaseModel) -> None:
    wrong = SCENARIOS[0].model_copy(update={"honest": ("[",)})
    with pytest.raises(LabelRuleProblem, match="one"):
        sweep(two_letters, along(1), scenarios=(wrong,))
