"""A forward pass of the base model with the activations of one place given, not computed."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from manifests.errors import ReleaseError
from validators.base_models.base_model import BaseModel
from validators.places.meta_model import block_lists
from validators.places.place import Place

if TYPE_CHECKING:
    from torch import Tensor


class NotSpliced(ReleaseError):
    """The pass ended without the given activations having been used."""

    exit_code = 1


class SplicedPass:
    """Replaces what one place gives, while it is entered.

    Where the place is the output of a block, the blocks before it hand on what they get without
    computing anything, since nothing of it is used: only the rest of the model runs. All blocks run
    where later ones take keys and values from earlier ones, as in Gemma 3n and Gemma 4.
    """

    def __init__(self, base: BaseModel, place: Place, *, skips_blocks: bool = True) -> None:
        """Prepare; the model is changed on entering.

        Args:
            base: the model.
            place: what is replaced.
            skips_blocks: whether earlier blocks may be skipped: only where a block gives a
                tensor, not a tuple.
        """
        self._base = base
        self._skips_blocks = skips_blocks
        self._place = place
        self._given: Tensor | None = None
        self._n_used = 0
        self._handles: list[Any] = []
        self._skipped: list[Any] = []

    def logits(self, input_ids: Sequence[int], given: Tensor, *, cache: Any = None) -> Tensor:
        """Logits [positions, vocabulary] with `given` [positions, width] at the place.

        Args:
            input_ids: [positions] token ids.
            given: what the place gives at these positions.
            cache: keys and values of what came before; changed in place.

        Raises:
            NotSpliced: the model did not run the place exactly once.
        """
        import torch

        self._given, self._n_used = given, 0
        ids = torch.tensor([list(input_ids)], device=self._base.model.device)
        with torch.inference_mode():
            output = self._base.model(
                input_ids=ids, past_key_values=cache, use_cache=cache is not None
            )
        if self._n_used != 1:
            raise NotSpliced(
                f"the activations were used {self._n_used} times",
                where=str(self._place),
                expected="once in each pass",
            )
        logits: Tensor = output.logits[0]
        return logits

    def __enter__(self) -> Self:
        module = self._base.model.get_submodule(self._place.module)
        if self._place.side == "input":
            self._handles.append(
                module.register_forward_pre_hook(self._replace_input, with_kwargs=True)
            )
            return self
        self._handles.append(module.register_forward_hook(self._replace_output))
        for block in self._blocks_before() if self._skips_blocks else ():
            self._skipped.append(block)
            block.forward = _hand_on
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._handles:
            self._handles.pop().remove()
        while self._skipped:
            # The method of the class shows again.
            del self._skipped.pop().forward

    def _blocks_before(self) -> list[Any]:
        """The blocks whose work is thrown away, if the place is a block's output."""
        config = self._base.model.config.get_text_config()
        if getattr(config, "num_kv_shared_layers", 0):
            return []
        parent, _, index = self._place.module.rpartition(".")
        if parent not in block_lists(self._base.model) or not index.isdigit():
            return []
        return list(self._base.model.get_submodule(parent))[: int(index)]

    def _replace_output(self, _module: Any, _inputs: Any, output: Any) -> Any:
        first = output[0] if isinstance(output, tuple) else output
        replaced = self._as(first)
        return (replaced, *output[1:]) if isinstance(output, tuple) else replaced

    def _replace_input(self, _module: Any, args: Any, kwargs: Any) -> Any:
        if args:
            return (self._as(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": self._as(kwargs["hidden_states"])}

    def _as(self, own: Tensor) -> Tensor:
        assert self._given is not None
        self._n_used += 1
        return self._given.to(own).reshape(own.shape)


def _hand_on(hidden_states: Any, *_: Any, **__: Any) -> Any:
    """A block that does nothing; its output is replaced further down anyway."""
    return hidden_states
