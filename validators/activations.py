"""Activations of the base model at the hooks of all SAEs, in one forward pass for each completion.

Kept apart from the trainer's capture on purpose: two implementations can disagree, one cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from manifests.completions import Completion
from manifests.model import Pooling
from manifests.progress import Progress
from validators.base_model import BaseModel, completion_token_ids

if TYPE_CHECKING:
    from torch import Tensor

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class CapturedActivations:
    """One vector of each completion at each hook.

    Attributes:
        vectors: [completions, d_in] by hook name; only hooks that fired in every pass.
        calls: how often each hook fired, over all passes.
        missing: hook names that no module of the model has.
        row_of: row in `vectors` by completion id.
    """

    vectors: dict[str, Vectors]
    calls: dict[str, int]
    missing: frozenset[str]
    row_of: dict[str, int]

    @property
    def n_passes(self) -> int:
        """Forward passes of the base model, one for each completion."""
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

    A hook is the path of a module whose output, or its first element, is read. One completion is
    one pass without padding, so no attention mask can matter.

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
            calls[name] += 1
            outputs[name] = output[0] if isinstance(output, tuple) else output
            if len(outputs) == len(wanted):
                raise _AllHooksFired

        return hook

    pooled: dict[str, list[Vectors]] = {name: [] for name in wanted}
    handles = [modules[name].register_forward_hook(keep(name)) for name in wanted]
    try:
        with (
            torch.inference_mode(),
            progress.task("reading activations", total=len(completions)) as task,
        ):
            for completion in completions if wanted else ():
                input_ids, n_prompt = completion_token_ids(base.tokenizer, completion)
                outputs.clear()
                _run(base, input_ids)
                for name, output in outputs.items():
                    pooled[name].append(_pool(output, n_prompt, pooling))
                task.advance()
    finally:
        for handle in handles:
            handle.remove()
    return CapturedActivations(
        vectors={n: np.stack(v) for n, v in pooled.items() if len(v) == len(completions) > 0},
        calls=calls,
        missing=frozenset(hook_names - set(wanted)),
        row_of={completion.id: row for row, completion in enumerate(completions)},
    )


def _run(base: BaseModel, input_ids: list[int]) -> None:
    import contextlib

    import torch

    batch = torch.tensor([input_ids], device=base.model.device)
    with contextlib.suppress(_AllHooksFired):
        base.model(input_ids=batch, use_cache=False)


def _pool(output: Tensor, n_prompt: int, pooling: Pooling) -> Vectors:
    """One vector [d_in] of an output [1, positions, d_in]."""
    positions = output[0].float()
    vector = positions[-1] if pooling == "last_token" else positions[n_prompt:].mean(dim=0)
    return np.asarray(vector.cpu().numpy(), dtype=np.float32).copy()
