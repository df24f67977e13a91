"""Activations of the base model at the hooks of all SAEs: one forward pass serves every hook.

Kept apart from the trainer's capture on purpose: two implementations can disagree, one cannot.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from manifests.completions import Completion
from manifests.data import Pooling
from manifests.progress import Progress
from validators.base_model import BaseModel, completion_token_ids

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import DynamicCache

Vectors = NDArray[np.float32]

# Bounds the memory of one pass; larger batches gained nothing on a CPU.
_ROWS_PER_PASS = 16


@dataclass(frozen=True)
class CapturedActivations:
    """One vector of each completion at each hook.

    Attributes:
        vectors: [completions, d_in] by hook name; only hooks that fired in every pass.
        calls: how many completions each hook saw.
        missing: hook names that no module of the model has.
        row_of: row in `vectors` by completion id.
    """

    vectors: dict[str, Vectors]
    calls: dict[str, int]
    missing: frozenset[str]
    row_of: dict[str, int]

    @property
    def n_passes(self) -> int:
        """Completions that went through the base model."""
        return len(self.row_of)

    def of(self, hook_name: str, rows: Sequence[Completion]) -> Vectors:
        """Vectors [rows, d_in] at a hook that fired."""
        indices = np.array([self.row_of[row.id] for row in rows], dtype=np.int64)
        return self.vectors[hook_name][indices]


class _AllHooksFired(Exception):
    """Ends a forward pass once nothing more is wanted from it; not an error."""


def capture_activations(
    base: BaseModel,
    completions: Sequence[Completion],
    hook_names: frozenset[str],
    pooling: Pooling,
    progress: Progress,
) -> CapturedActivations:
    """Run the base model over completions and keep one vector of each at every hook.

    A hook is the path of a module whose output, or its first element, is read. Nothing is padded:
    completions of one prompt and one length share a pass. They also share the keys and values of
    their prompt, which is most of the work where many short answers to one prompt are read;
    causal attention makes that the same computation up to the order of floating-point sums.

    Args:
        base: the model and its tokenizer.
        completions: what to read.
        hook_names: module paths such as `model.layers.12`; unknown ones are reported, not raised.
        pooling: `last_token`: the completion's last position; `completion_mean`: the mean over
            the completion's positions.
        progress: counts completions.
    """
    import torch

    modules = dict(base.model.named_modules())
    wanted = sorted(name for name in hook_names if name in modules and name)
    outputs: dict[str, Tensor] = {}
    calls = dict.fromkeys(sorted(hook_names), 0)

    def keep(name: str) -> Callable[[Any, Any, Any], None]:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            outputs[name] = output[0] if isinstance(output, tuple) else output
            calls[name] += len(outputs[name])
            if len(outputs) == len(wanted):
                raise _AllHooksFired

        return hook

    pooled: dict[str, dict[int, Vectors]] = {name: {} for name in wanted}
    handles = [modules[name].register_forward_hook(keep(name)) for name in wanted]
    try:
        with (
            torch.inference_mode(),
            progress.task("reading activations", total=len(completions)) as task,
        ):
            for prompt_ids, rows in _by_prompt(base, completions).items() if wanted else ():
                for batch, n_prompt in _passes(base, prompt_ids, rows, outputs, calls):
                    for name, output in outputs.items():
                        for row, own in zip(batch, output, strict=True):
                            pooled[name][row] = _pool(own, n_prompt, pooling)
                    task.advance(len(batch))
    finally:
        for handle in handles:
            handle.remove()
    rows_in_order = range(len(completions))
    return CapturedActivations(
        vectors={
            name: np.stack([found[row] for row in rows_in_order])
            for name, found in pooled.items()
            if len(found) == len(completions) > 0
        },
        calls=calls,
        missing=frozenset(hook_names - set(wanted)),
        row_of={completion.id: row for row, completion in enumerate(completions)},
    )


def _by_prompt(
    base: BaseModel, completions: Sequence[Completion]
) -> dict[tuple[int, ...], list[tuple[int, list[int]]]]:
    """Prompt tokens -> (row, completion tokens) of each completion of that prompt."""
    groups: dict[tuple[int, ...], list[tuple[int, list[int]]]] = {}
    for row, completion in enumerate(completions):
        input_ids, n_prompt = completion_token_ids(base.tokenizer, completion)
        group = groups.setdefault(tuple(input_ids[:n_prompt]), [])
        group.append((row, input_ids[n_prompt:]))
    return groups


def _passes(
    base: BaseModel,
    prompt_ids: tuple[int, ...],
    rows: Sequence[tuple[int, list[int]]],
    outputs: dict[str, Tensor],
    calls: dict[str, int],
) -> Iterator[tuple[list[int], int]]:
    """Run the completions of one prompt, leaving the hooks' outputs in `outputs`.

    Yields:
        batch: the rows whose outputs [batch, positions, d_in] are there now.
        n_prompt: how many of the positions belong to the prompt.
    """
    from transformers import DynamicCache

    if len(rows) == 1:
        ((row, own_ids),) = rows
        outputs.clear()
        _run(base, [[*prompt_ids, *own_ids]], None)
        yield [row], len(prompt_ids)
        return
    prompt_cache = DynamicCache()
    before = dict(calls)
    outputs.clear()
    _run(base, [list(prompt_ids)], prompt_cache)
    # The prompt alone is no completion: what its pass called does not count.
    calls.update(before)
    for batch in _of_equal_length(rows):
        cache = copy.deepcopy(prompt_cache)
        cache.batch_repeat_interleave(len(batch))
        outputs.clear()
        _run(base, [own_ids for _, own_ids in batch], cache)
        yield [row for row, _ in batch], 0


def _of_equal_length(
    rows: Sequence[tuple[int, list[int]]],
) -> Iterator[list[tuple[int, list[int]]]]:
    """Rows in batches of equal length, at most `_ROWS_PER_PASS` each."""
    by_length: dict[int, list[tuple[int, list[int]]]] = {}
    for row in rows:
        by_length.setdefault(len(row[1]), []).append(row)
    for _, same in sorted(by_length.items()):
        for start in range(0, len(same), _ROWS_PER_PASS):
            yield same[start : start + _ROWS_PER_PASS]


def _run(base: BaseModel, input_ids: list[list[int]], cache: DynamicCache | None) -> None:
    import torch

    batch = torch.tensor(input_ids, device=base.model.device)
    with contextlib.suppress(_AllHooksFired):
        base.model(input_ids=batch, past_key_values=cache, use_cache=cache is not None)


def _pool(output: Tensor, n_prompt: int, pooling: Pooling) -> Vectors:
    """One vector [d_in] of an output [positions, d_in]."""
    positions = output.float()
    vector = positions[-1] if pooling == "last_token" else positions[n_prompt:].mean(dim=0)
    return np.asarray(vector.cpu().numpy(), dtype=np.float32).copy()
