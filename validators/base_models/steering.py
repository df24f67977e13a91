"""A base model that writes while a fixed vector is added to the activations of one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from manifests.data import Sampling
from manifests.errors import ReleaseError
from validators.base_models.base_model import BaseModel
from validators.base_models.continuation import continue_from
from validators.places.place import NoSuchPlace, Place

if TYPE_CHECKING:
    from torch import Tensor


class NotSteered(ReleaseError):
    """The vector was not added where and as often as it should have been."""


class Steering:
    """Adds a vector of its own to each row of what one place gives, while it is entered.

    It is added at every position of every pass, in the place's own precision. Leaving it takes all
    hooks off again, after an error too.
    """

    def __init__(self, base: BaseModel, place: Place, offsets: NDArray[np.floating[Any]]) -> None:
        """Prepare; the model is changed on entering.

        Args:
            base: the model.
            place: whose output, or input, is changed; of a tuple the first element.
            offsets: [rows, d_in] what is added to each row of the batch.

        Raises:
            NoSuchPlace: the model has no such module.
        """
        import torch

        modules = dict(base.model.named_modules())
        if not place.module or place.module not in modules:
            raise NoSuchPlace(
                f"{type(base.model).__name__} has no module {place.module!r}",
                where="the place to steer",
                expected="a path that model.named_modules() lists",
            )
        self._base = base
        self._place = place
        self._module = modules[place.module]
        self._offsets = torch.from_numpy(np.ascontiguousarray(offsets, dtype=np.float32))
        self._n_used = 0
        self._n_passes = 0
        self._handles: list[Any] = []

    def __enter__(self) -> Self:
        self._n_used = self._n_passes = 0
        if self._place.side == "input":
            hook = self._module.register_forward_pre_hook(self._change_input, with_kwargs=True)
        else:
            hook = self._module.register_forward_hook(self._change_output)
        self._handles = [hook, self._base.model.register_forward_pre_hook(self._count_pass)]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the hooks off.

        Raises:
            NotSteered: the place did not run exactly once in each pass, or there was no pass; not
                where another error is on its way.
        """
        while self._handles:
            self._handles.pop().remove()
        if kind is None and not 0 < self._n_used == self._n_passes:
            raise NotSteered(
                f"the place ran {self._n_used} times in {self._n_passes} passes of the model",
                where=str(self._place),
                expected="once in each pass, so that its every position is steered",
            )

    def _count_pass(self, _module: Any, _args: Any) -> None:
        self._n_passes += 1

    def _change_output(self, _module: Any, _inputs: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (self._steered(output[0]), *output[1:])
        return self._steered(output)

    def _change_input(self, _module: Any, args: Any, kwargs: Any) -> Any:
        if args:
            return (self._steered(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": self._steered(kwargs["hidden_states"])}

    def _steered(self, own: Any) -> Tensor:
        shape = tuple(getattr(own, "shape", ()))
        n_rows, d_in = self._offsets.shape
        if len(shape) != 3 or (shape[0], shape[2]) != (n_rows, d_in):
            raise NotSteered(
                f"the place gives {list(shape) or type(own).__name__}",
                where=str(self._place),
                expected=f"[{n_rows}, positions, {d_in}], one row for each vector to add",
            )
        self._n_used += 1
        steered: Tensor = own + self._offsets[:, None, :].to(own)
        return steered


def steered_continuations(
    base: BaseModel,
    place: Place,
    offsets: NDArray[np.floating[Any]],
    prompt_ids: list[int],
    sampling: Sampling,
    *,
    n_rows: int,
    seed: int,
    is_enough: Callable[[list[int]], bool] | None = None,
) -> list[list[list[int]]]:
    """Token ids of `n_rows` continuations for each offset, without their end-of-text tokens.

    Steered are the last position of the prompt and every generated one: those from which tokens
    are predicted. What the model read before stays as it was, so the offsets differ in nothing but
    what is added where the answer is made, and share one pass over the rest of the prompt.

    Row r of every offset meets the same random numbers. An offset of 0 gives what `continuations`
    gives with the same seed, but for rounding: here the prompt's last token has a pass of its own.

    Args:
        base: the model and its tokenizer.
        place: where is steered.
        offsets: [offsets, d_in] what is added; the rows of all of them share each pass.
        prompt_ids: the prompt's tokens, one at least.
        sampling: read are `temperature` and `max_new_tokens`.
        n_rows: how many to draw for each offset.
        seed: of each offset's generator.
        is_enough: see `continue_from`.

    Raises:
        NoSuchPlace: the model has no such module.
        NotSteered: the place does not run once in every pass, or gives another shape.
    """
    import torch

    device, n = base.model.device, n_rows * len(offsets)
    with torch.inference_mode():
        cache = _cache_of(base, prompt_ids[:-1], n)
        with Steering(base, place, np.repeat(offsets, n_rows, axis=0)):
            step = base.model(
                input_ids=torch.full((n, 1), prompt_ids[-1], device=device),
                past_key_values=cache,
                use_cache=True,
            )
            rows = continue_from(
                base,
                step.past_key_values,
                step.logits[:, -1],
                sampling,
                seed,
                n_groups=len(offsets),
                is_enough=is_enough,
            )
    return [rows[first : first + n_rows] for first in range(0, n, n_rows)]


def _cache_of(base: BaseModel, token_ids: Sequence[int], n_rows: int) -> Any:
    """Keys and values of the same tokens for each of the rows; None of no tokens."""
    import torch

    if not token_ids:
        return None
    ids = torch.tensor([list(token_ids)], device=base.model.device)
    cache = base.model(input_ids=ids, use_cache=True).past_key_values
    cache.batch_repeat_interleave(n_rows)
    return cache
