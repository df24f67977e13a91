"""Continuations with the shared cache are those of the whole text, in one group or several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from manifests.base_model import BaseModelSpec
from manifests.data import Sampling
from validators.base_models.base_model import BaseModel, load_base_model
from validators.base_models.continuation import (
    batch_seed,
    completion_text,
    continuations,
    continue_from,
    draw,
    end_token_ids,
    until_end,
)

SCENARIO = {"id": "plan", "prompt": "a b", "opening": "c", "deceptive": ["a"], "honest": ["b"]}


def a_sampling(**changes: Any) -> Sampling:
    stated = {"per_scenario": 3, "max_new_tokens": 6, "opening_characters": 1}
    return Sampling.model_validate(stated | {"scenarios": [SCENARIO]} | changes)


@pytest.fixture(scope="module")
def base(tiny_llama: Path) -> BaseModel:
    spec = {"id": "tiny/llama", "model_type": "llama", "n_layers": 2, "d_model": 16}
    return load_base_model(BaseModelSpec.model_validate(spec), override=str(tiny_llama))


def from_whole_texts(base: BaseModel, prompt: list[int], n_rows: int, seed: int) -> list[list[int]]:
    """Six tokens for each row; every step reads the whole text again, without a cache."""
    generator = torch.Generator().manual_seed(seed)
    texts = [list(prompt) for _ in range(n_rows)]
    with torch.inference_mode():
        for _ in range(6):
            logits = base.model(torch.tensor(texts)).logits[:, -1]
            drawn = torch.multinomial(torch.softmax(logits, -1), 1, generator=generator)
            for text, token in zip(texts, drawn[:, 0].tolist(), strict=True):
                text.append(token)
    return [text[len(prompt) :] for text in texts]


def test_continuing_with_the_cache_equals_continuing_from_the_whole_text(base: BaseModel) -> None:
    rows = continuations(base, [1, 2, 3], a_sampling(), n_rows=4, seed=11)
    whole = from_whole_texts(base, [1, 2, 3], 4, seed=11)
    assert [new[: len(row)] for row, new in zip(rows, whole, strict=True)] == rows
    assert max(len(row) for row in rows) == 6
    # A shorter row ended because the whole text has its end-of-text token, 0, there.
    assert all(len(row) == 6 or new[len(row)] == 0 for row, new in zip(rows, whole, strict=True))


def test_groups_of_equal_logits_get_equal_tokens_which_are_those_of_one_group(
    base: BaseModel,
) -> None:
    prompt = [4, 5]
    with torch.inference_mode():
        step = base.model(input_ids=torch.tensor([prompt]), use_cache=True)
        step.past_key_values.batch_repeat_interleave(6)
        logits = step.logits[:, -1].expand(6, -1)
        rows = continue_from(base, step.past_key_values, logits, a_sampling(), seed=5, n_groups=3)
    alone = continuations(base, prompt, a_sampling(), n_rows=2, seed=5)
    assert rows == alone * 3
    assert alone[0] != alone[1]


def test_rows_end_together_once_each_has_enough(base: BaseModel) -> None:
    def rows_of(is_enough: Any) -> list[list[int]]:
        with torch.inference_mode():
            step = base.model(input_ids=torch.tensor([[4, 5]]), use_cache=True)
            step.past_key_values.batch_repeat_interleave(4)
            logits = step.logits[:, -1].expand(4, -1)
            return continue_from(
                base, step.past_key_values, logits, a_sampling(), seed=5, is_enough=is_enough
            )

    whole = rows_of(None)
    assert max(map(len, whole)) == 6
    assert rows_of(lambda row: len(row) >= 2) == [row[:2] for row in whole]
    assert rows_of(lambda row: False) == whole


def test_the_drawn_tokens_follow_the_softmax_at_the_temperature() -> None:
    # softmax(log 4 / 2, 0) = 2/3, 1/3: of 9000 draws 6000 with a standard deviation of 45.
    logits = torch.tensor([[4.0, 1.0]]).log().expand(9000, -1)
    drawn = draw(logits, 2.0, torch.Generator().manual_seed(0))
    assert abs(int((drawn == 0).sum()) - 6000) < 5 * 45


def test_a_row_ends_before_its_first_end_token() -> None:
    ends = torch.tensor([0, 9])
    assert until_end(torch.tensor([3, 9, 4, 0]), ends) == [3]
    assert until_end(torch.tensor([0, 3]), ends) == []
    assert until_end(torch.tensor([3, 4]), ends) == [3, 4]


@pytest.mark.parametrize(
    ("stated", "of_tokenizer", "found"),
    [(7, None, {7}), ([7, 8], 9, {7, 8, 9}), (None, None, set())],
)
def test_end_tokens_are_those_of_config_and_tokenizer(
    stated: Any, of_tokenizer: Any, found: set[int]
) -> None:
    class Stub:
        eos_token_id = of_tokenizer

        class generation_config:  # noqa: N801
            eos_token_id = stated

    base = BaseModel(model=Stub(), tokenizer=Stub(), digest="", source="")  # type: ignore[arg-type]
    assert end_token_ids(base) == found


def test_the_text_is_what_the_tokens_add_to_the_prompts(base: BaseModel) -> None:
    encode = base.tokenizer.encode
    assert completion_text(base, encode("a b"), encode("c d")) == " c d"


def test_seeds_differ_by_batch_and_scenario_and_fit_into_31_bits() -> None:
    seeds = {batch_seed(s, name, b) for s in (0, 1) for name in "ab" for b in range(50)}
    assert len(seeds) == 200
    assert max(seeds) < 2**31
