"""Activation vectors of completions: one forward pass serves every layer of a manifest."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import Tensor

from manifests.completions import Completion
from manifests.data import Pooling
from manifests.errors import ReleaseError
from manifests.progress import Progress
from validators.base_models.base_model import BaseModel, completion_token_ids

MAX_BATCH_TOKENS = 2048


class HookProblem(ReleaseError):
    """A module path that the base model lacks, or whose hook never fired."""


class _LastLayerReached(Exception):
    """Ends the forward pass: no later layer is needed."""


def capture(
    base: BaseModel,
    completions: Sequence[Completion],
    hook_names: Sequence[str],
    pooling: Pooling,
    *,
    progress: Progress,
    max_batch_tokens: int = MAX_BATCH_TOKENS,
) -> tuple[dict[str, Tensor], int]:
    """One vector per completion and hook.

    Each distinct prompt is run once, and its keys and values serve all its completions.
    Completions of similar length share a batch, padded on the right: attention is causal, so the
    padding changes nothing to its left, and it is masked as well.

    Args:
        base: the model and its tokenizer.
        completions: rows, in the order of the result.
        hook_names: module paths, in the order in which the model runs them.
        pooling: `last_token`, the completion's last token; `completion_mean`, the mean over the
            completion's tokens, the prompt's left out.
        progress: counts completions.
        max_batch_tokens: padded tokens of one batch's completions at most; one
            completion at least.

    Returns:
        vectors: hook name -> [completions, d_in], float32 on the CPU.
        longest: tokens of the longest sequence.

    Raises:
        HookProblem: a module does not exist, or did not run.
    """
    tokens = [completion_token_ids(base.tokenizer, row) for row in completions]
    found: dict[str, dict[int, Tensor]] = {name: {} for name in hook_names}
    with (
        torch.no_grad(),
        _hooked(base.model, hook_names) as outputs,
        progress.task("capturing activations", total=len(tokens)) as task,
    ):
        for prompt, members in _by_prompt(tokens).items():
            prompt_cache = _run_prompt(base.model, outputs, prompt)
            own = {row: tokens[row][0][len(prompt) :] for row in members}
            for rows in _batches(own, max_batch_tokens):
                _forward(base.model, outputs, hook_names, prompt_cache, [own[row] for row in rows])
                for name in hook_names:
                    for position, row in enumerate(rows):
                        states = outputs[name][position, : len(own[row])].float()
                        pooled = states[-1] if pooling == "last_token" else states.mean(dim=0)
                        found[name][row] = pooled.cpu()
                task.advance(len(rows))
    vectors = {
        name: torch.stack([by_row[row] for row in range(len(tokens))])
        for name, by_row in found.items()
    }
    return vectors, max(len(ids) for ids, _ in tokens)


def _by_prompt(tokens: Sequence[tuple[list[int], int]]) -> dict[tuple[int, ...], list[int]]:
    """The rows of each distinct prompt, by the prompt's tokens."""
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, (ids, n_prompt) in enumerate(tokens):
        rows.setdefault(tuple(ids[:n_prompt]), []).append(row)
    return rows


def _batches(completions: dict[int, list[int]], max_batch_tokens: int) -> Iterator[list[int]]:
    """Rows by length, cut where the padded batch would pass the limit."""
    batch: list[int] = []
    for row in sorted(completions, key=lambda row: (len(completions[row]), row)):
        if batch and len(completions[row]) * (len(batch) + 1) > max_batch_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _run_prompt(model: Any, outputs: dict[str, Tensor], prompt: Sequence[int]) -> Any:
    """Keys and values of one prompt, which all its completions share."""
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    outputs.clear()
    with suppress(_LastLayerReached):
        ids = torch.tensor([list(prompt)], device=model.device)
        model(input_ids=ids, past_key_values=cache, use_cache=True)
    return cache


def _forward(
    model: Any,
    outputs: dict[str, Tensor],
    hook_names: Sequence[str],
    prompt_cache: Any,
    completions: Sequence[list[int]],
) -> None:
    """Fill `outputs` with the completions' [rows, tokens, d_in] for each hook."""
    longest = max(len(ids) for ids in completions)
    # Masked positions may hold any token; 0 exists in every vocabulary.
    padded = torch.tensor([ids + [0] * (longest - len(ids)) for ids in completions])
    n_prompt = prompt_cache.get_seq_length()
    mask = torch.tensor(
        [[1] * (n_prompt + len(ids)) + [0] * (longest - len(ids)) for ids in completions]
    )
    # The forward pass appends to the cache that it is given.
    cache = copy.deepcopy(prompt_cache)
    cache.batch_repeat_interleave(len(completions))
    outputs.clear()
    with suppress(_LastLayerReached):
        model(
            input_ids=padded.to(model.device),
            attention_mask=mask.to(model.device),
            past_key_values=cache,
            use_cache=True,
        )
    silent = [name for name in hook_names if name not in outputs]
    if silent:
        raise HookProblem(
            f"the hook never fired on {', '.join(silent)}",
            where="base_model.model_type",
            expected="modules that run in a forward pass of the base model",
            next_step="check the module path of the family in manifests/hooks.py",
        )


@contextmanager
def _hooked(model: Any, hook_names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Each module's output by name, to be cleared before each pass; it ends once all have fired."""
    outputs: dict[str, Tensor] = {}
    remaining = set(hook_names)

    def hook(name: str) -> Any:
        def store(module: Any, args: Any, output: Any) -> None:  # noqa: ARG001
            outputs[name] = output[0] if isinstance(output, tuple) else output
            if remaining <= outputs.keys():
                raise _LastLayerReached

        return store

    with ExitStack() as stack:
        for name in hook_names:
            try:
                module = model.get_submodule(name)
            except AttributeError as error:
                raise HookProblem(
                    f"the base model has no module {name}",
                    where="base_model.model_type",
                    expected="the path of a block of the loaded model",
                    next_step="check the family's path in manifests/hooks.py",
                ) from error
            stack.callback(module.register_forward_hook(hook(name)).remove)
        yield outputs
