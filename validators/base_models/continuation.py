"""Text that a base model writes after a prompt, drawn at a temperature from a seed.

Temperature is the only change to the model's distribution: no top-k, no top-p.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from manifests.data import Sampling
from validators.base_models.base_model import BaseModel

if TYPE_CHECKING:
    import torch


def continuations(
    base: BaseModel, prompt_ids: list[int], sampling: Sampling, n_rows: int, seed: int
) -> list[list[int]]:
    """Token ids of `n_rows` continuations of one prompt, each without its end-of-text token.

    The prompt is read once and its key-value cache shared by all rows.

    Args:
        base: the model and its tokenizer.
        prompt_ids: the prompt's tokens, one at least.
        sampling: read are `temperature` and `max_new_tokens`.
        n_rows: how many to draw.
        seed: of the generator; the rows depend on it and on each other's number.
    """
    import torch

    with torch.inference_mode():
        step = base.model(
            input_ids=torch.tensor([prompt_ids], device=base.model.device), use_cache=True
        )
        cache = step.past_key_values
        cache.batch_repeat_interleave(n_rows)
        logits = step.logits[:, -1].expand(n_rows, -1)
        return continue_from(base, cache, logits, sampling, seed)


def continue_from(
    base: BaseModel,
    cache: Any,
    logits: torch.Tensor,
    sampling: Sampling,
    seed: int,
    *,
    n_groups: int = 1,
    is_enough: Callable[[list[int]], bool] | None = None,
) -> list[list[int]]:
    """Token ids of one continuation of each row, each without its end-of-text token.

    Args:
        base: the model and its tokenizer.
        cache: keys and values of what each row has read; extended in place.
        logits: [rows, vocabulary] of the first token to draw.
        sampling: read are `temperature` and `max_new_tokens`.
        seed: of every group's generator.
        n_groups: the rows are so many groups of equal size, one after another. Each group has a
            generator of its own with the same seed, so that the same row of two groups meets the
            same random numbers, and groups with the same logits get the same tokens.
        is_enough: whether a row's tokens will do. The rows end together, where each has ended or
            will do; without it, where each has ended. They have `max_new_tokens` at most.
    """
    import torch

    # Drawn on the CPU in float32 whatever the device: its generator is the one with the seed.
    generators = [torch.Generator(device="cpu").manual_seed(seed) for _ in range(n_groups)]
    end_tokens = torch.tensor(sorted(end_token_ids(base)))
    rows: list[torch.Tensor] = []
    with torch.inference_mode():
        has_ended = torch.zeros(len(logits), dtype=torch.bool)
        for _ in range(sampling.max_new_tokens):
            groups = zip(logits.chunk(n_groups), generators, strict=True)
            tokens = torch.cat([draw(own, sampling.temperature, by) for own, by in groups])
            rows.append(tokens)
            has_ended |= torch.isin(tokens, end_tokens)
            if bool(has_ended.all()) or len(rows) == sampling.max_new_tokens:
                break
            if is_enough is not None:
                written = [until_end(column, end_tokens) for column in torch.stack(rows, dim=1)]
                if all(map(operator.or_, has_ended.tolist(), map(is_enough, written))):
                    break
            step = base.model(
                input_ids=tokens[:, None].to(base.model.device),
                past_key_values=cache,
                use_cache=True,
            )
            cache, logits = step.past_key_values, step.logits[:, -1]
    return [until_end(column, end_tokens) for column in torch.stack(rows, dim=1)]


def draw(logits: torch.Tensor, temperature: float, generator: torch.Generator) -> torch.Tensor:
    """One token id per row of `logits [rows, vocabulary]`, from softmax(logits / temperature)."""
    import torch

    probabilities = torch.softmax(logits.float().cpu() / temperature, dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]


def until_end(tokens: torch.Tensor, end_tokens: torch.Tensor) -> list[int]:
    """The tokens [n] of one row before its first end-of-text token, or all of them."""
    import torch

    ends = torch.isin(tokens, end_tokens).nonzero()
    n_tokens = int(ends[0]) if len(ends) else len(tokens)
    return [int(token) for token in tokens[:n_tokens]]


def end_token_ids(base: BaseModel) -> set[int]:
    """Every token that ends a text, by the generation config and by the tokenizer."""
    stated = base.model.generation_config.eos_token_id
    end_tokens = set(stated) if isinstance(stated, list) else {stated}
    end_tokens.add(base.tokenizer.eos_token_id)
    return {int(token) for token in end_tokens if token is not None}


def completion_text(base: BaseModel, prompt_ids: list[int], token_ids: list[int]) -> str:
    """What a continuation adds to the prompt's text.

    Decoded together with the prompt, since some tokenizers drop the space that starts a text. A
    character whose last bytes were not sampled any more is cut off.
    """
    decode = base.tokenizer.decode
    before: str = decode(prompt_ids, skip_special_tokens=True)
    whole: str = decode(prompt_ids + token_ids, skip_special_tokens=True)
    return whole.removeprefix(before).rstrip("\ufffd")


def batch_seed(seed: int, scenario_id: str, batch: int) -> int:
    """Seed of one batch: the first 31 bits of SHA-256 of `seed:scenario:batch`.

    A scenario's completions do not change when another scenario is added or reordered.
    """
    digest = hashlib.sha256(f"{seed}:{scenario_id}:{batch}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
