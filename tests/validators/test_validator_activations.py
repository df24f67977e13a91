"""The capture: what is read, where, how often, and how much of the model is run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from manifests.completions import Completion, load_split
from manifests.progress import Silent
from validators.base_models.base_model import BaseModel, completion_token_ids, load_base_model
from validators.evidence.activations import (
    CapturedActivations,
    capture_completions,
    capture_contexts,
)
from validators.places.place import Place

FIRST, LAST = Place("model.layers.0"), Place("model.layers.1")


@pytest.fixture(scope="module")
def base(good_release: Any) -> BaseModel:
    spec = good_release.loaded.manifest.base_model
    return load_base_model(spec, override=str(good_release.base_model))


@pytest.fixture(scope="module")
def rows(good_release: Any) -> tuple[Completion, ...]:
    return load_split(good_release.loaded).held_out[:5]


def capture(
    base: BaseModel, rows: tuple[Completion, ...], *places: Place, pooling: Any = "last_token"
) -> CapturedActivations:
    return capture_completions(base, rows, frozenset(places), pooling, Silent())


def hooks_on(base: BaseModel) -> int:
    """How many forward hooks there are; transformers leaves some of its own."""
    return sum(len(module._forward_hooks) for module in base.model.modules())


def hidden_states(base: BaseModel, row: Completion) -> tuple[Any, int]:
    """What transformers itself reports, and where the completion starts."""
    ids, n_prompt = completion_token_ids(base.tokenizer, row)
    with torch.inference_mode():
        output = base.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
    return output.hidden_states, n_prompt


def test_a_hook_reads_the_residual_stream_after_its_block(
    base: BaseModel, rows: tuple[Completion, ...]
) -> None:
    captured = capture(base, rows, FIRST, LAST)
    for index, row in enumerate(rows):
        states, _ = hidden_states(base, row)
        # hidden_states[0] is the embedding, so the output of block 0 is hidden_states[1].
        expected = states[1][0, -1].numpy()
        np.testing.assert_allclose(captured.vectors[FIRST][index], expected, rtol=1e-5, atol=1e-6)
    assert captured.vectors[LAST].shape == (5, 16)
    assert captured.vectors[LAST].dtype == np.float32


def test_the_mean_is_over_the_completion_and_not_over_the_prompt(
    base: BaseModel, rows: tuple[Completion, ...]
) -> None:
    captured = capture(base, rows, FIRST, pooling="completion_mean")
    states, n_prompt = hidden_states(base, rows[0])
    assert 0 < n_prompt < states[1].shape[1]
    expected = states[1][0, n_prompt:].mean(dim=0).numpy()
    np.testing.assert_allclose(captured.vectors[FIRST][0], expected, rtol=1e-5, atol=1e-6)


def test_one_pass_serves_every_hook_and_stops_after_the_last(
    base: BaseModel, rows: tuple[Completion, ...]
) -> None:
    calls = {"second block": 0, "head": 0}

    def count(name: str) -> Any:
        def hook(*_: Any) -> None:
            calls[name] += 1

        return hook

    handles = [
        base.model.get_submodule(LAST.module).register_forward_hook(count("second block")),
        base.model.get_submodule("lm_head").register_forward_hook(count("head")),
    ]
    try:
        captured = capture(base, rows, FIRST)
        assert calls == {"second block": 0, "head": 0}
        both = capture(base, rows, FIRST, LAST)
        # One pass for the prompt that all five share, and one for each length of a completion.
        assert len({row.prompt for row in rows}) == 1
        lengths = {
            len(ids) - n for ids, n in (completion_token_ids(base.tokenizer, r) for r in rows)
        }
        assert calls == {"second block": 1 + len(lengths), "head": 0}
    finally:
        for handle in handles:
            handle.remove()
    np.testing.assert_array_equal(captured.vectors[FIRST], both.vectors[FIRST])
    assert both.calls == {FIRST: 5, LAST: 5}
    assert both.n_passes == 5


def test_a_place_that_does_not_exist_is_reported_and_the_others_are_read(
    base: BaseModel, rows: tuple[Completion, ...]
) -> None:
    nowhere = Place("transformer.h.1")
    captured = capture(base, rows, FIRST, nowhere)
    assert captured.missing == {nowhere}
    assert captured.calls[nowhere] == 0
    assert set(captured.vectors) == {FIRST}


def test_no_hook_is_left_on_the_model(base: BaseModel, rows: tuple[Completion, ...]) -> None:
    before = hooks_on(base)
    capture(base, rows, FIRST, LAST)
    assert hooks_on(base) == before


def test_an_error_in_the_model_is_not_taken_for_the_end_of_the_pass(
    base: BaseModel, rows: tuple[Completion, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Iterator[None]:
        raise RuntimeError("out of memory")

    before = hooks_on(base)
    monkeypatch.setattr(base.model.get_submodule(FIRST.module), "forward", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        capture(base, rows, FIRST)
    assert hooks_on(base) == before


def test_what_goes_into_a_block_is_what_came_out_of_the_one_before(
    base: BaseModel, rows: tuple[Completion, ...]
) -> None:
    into_last = Place("model.layers.1", "input")
    captured = capture(base, rows, FIRST, into_last)
    np.testing.assert_array_equal(captured.vectors[into_last], captured.vectors[FIRST])


def test_every_position_of_a_context_is_a_row(base: BaseModel) -> None:
    contexts = [[1, 2, 3, 4], [5, 6], [4, 3, 2, 1]]
    captured = capture_contexts(base, contexts, frozenset({FIRST}), Silent())
    assert captured.vectors[FIRST].shape == (4 + 2 + 4, 16)
    with torch.inference_mode():
        states = base.model(torch.tensor([contexts[1]]), output_hidden_states=True).hidden_states
    expected = states[1][0].numpy()
    np.testing.assert_allclose(captured.vectors[FIRST][4:6], expected, rtol=1e-5, atol=1e-6)
    assert captured.calls == {FIRST: 3}
    assert captured.n_passes == 3
