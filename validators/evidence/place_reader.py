"""Reading activations at several places of a base model in one forward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from validators.base_models.base_model import BaseModel
from validators.places.place import Place

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.hooks import RemovableHandle


class _AllPlacesRead(Exception):
    """Ends a forward pass once nothing more is wanted from it; not an error."""


class PlaceReader:
    """Hooks on a base model; a pass ends as soon as every place was read.

    Attributes:
        outputs: what the last pass left: [batch, positions, width] by place.
        calls: how many sequences each place saw so far, over all passes.
        missing: places whose module the model does not have.
        in_tuples: places whose module gives a tuple, of which the first element was read.
    """

    def __init__(self, base: BaseModel, places: Iterable[Place]) -> None:
        modules = dict(base.model.named_modules())
        wanted = sorted(set(places))
        self._base = base
        self._modules = {p: modules[p.module] for p in wanted if p.module and p.module in modules}
        self._handles: list[RemovableHandle] = []
        self.outputs: dict[Place, Tensor] = {}
        self.calls = dict.fromkeys(wanted, 0)
        self.in_tuples: set[Place] = set()
        self.missing = frozenset(set(wanted) - self._modules.keys())

    @property
    def places(self) -> tuple[Place, ...]:
        """The places that the model has, sorted."""
        return tuple(self._modules)

    def run(self, input_ids: list[list[int]], *, cache: Any = None, counted: bool = True) -> None:
        """Run sequences of equal length and leave what was read in `outputs`.

        Args:
            input_ids: [batch, positions] token ids.
            cache: keys and values of what came before; extended in place.
            counted: whether the pass counts in `calls`.
        """
        import torch

        before = dict(self.calls)
        self.outputs.clear()
        batch = torch.tensor(input_ids, device=self._base.model.device)
        with torch.inference_mode(), contextlib.suppress(_AllPlacesRead):
            self._base.model(input_ids=batch, past_key_values=cache, use_cache=cache is not None)
        if not counted:
            self.calls = before

    def __enter__(self) -> Self:
        for place, module in self._modules.items():
            keep = self._keeper(place)
            if place.side == "output":
                handle = module.register_forward_hook(
                    lambda _module, _inputs, output, keep=keep: keep(output)
                )
            else:
                handle = module.register_forward_pre_hook(
                    lambda _module, args, kwargs, keep=keep: keep(_first_input(args, kwargs)),
                    with_kwargs=True,
                )
            self._handles.append(handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _keeper(self, place: Place) -> Callable[[Any], None]:
        def keep(value: Any) -> None:
            if isinstance(value, tuple):
                self.in_tuples.add(place)
            tensor = value[0] if isinstance(value, tuple) else value
            self.outputs[place] = tensor
            self.calls[place] += len(tensor)
            if len(self.outputs) == len(self._modules):
                raise _AllPlacesRead

        return keep


def _first_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The activation that goes into a module; transformers passes some of them by name."""
    return args[0] if args else kwargs["hidden_states"]
