"""Activation vectors from the base model: one forward pass serves every layer of a manifest."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import Tensor

from manifests.data import Pooling
from manifests.errors import ReleaseError
from retrain.activations.batches import Batch
from retrain.activations.passages import Passage
from validators.base_models.base_model import BaseModel


class HookProblem(ReleaseError):
    """A module path that the base model lacks, or whose hook never fired."""


class ActivationProblem(ReleaseError):
    """Activations that nothing can be trained on."""


class _LastLayerReached(Exception):
    """Ends the forward pass: no later layer is needed, and no output head."""


class ActivationReader:
    """Hooks on a base model, in place while the reader is.

    Each distinct prompt is run once in a row, and its keys and values serve all its passages.
    Passages of a batch are padded on the right: attention is causal, so the padding changes
    nothing to its left, and it is masked as well.
    """

    def __init__(
        self, model: Any, hook_names: Sequence[str], pooling: Pooling, outputs: dict[str, Tensor]
    ) -> None:
        self._model = model
        self._hook_names = tuple(hook_names)
        self._pooling = pooling
        self._outputs = outputs
        self._prompt: tuple[int, ...] | None = None
        self._prompt_cache: Any = None

    def read(self, passages: Sequence[Passage], batch: Batch) -> dict[str, Tensor]:
        """The vectors of one batch.

        Returns:
            Hook name -> [vectors, d_in] on the CPU, passage after passage in the batch's order:
            in the format of the model's own residual stream, means in float32.

        Raises:
            HookProblem: a module did not run.
            ActivationProblem: a vector is not finite.
        """
        own = [passages[index].own for index in batch.members]
        longest = max(len(ids) for ids in own)
        # Masked positions may hold any token; 0 exists in every vocabulary.
        padded = torch.tensor([[*ids.tolist(), *[0] * (longest - len(ids))] for ids in own])
        n_prompt = len(batch.prompt)
        mask = torch.tensor(
            [[1] * (n_prompt + len(ids)) + [0] * (longest - len(ids)) for ids in own]
        )
        cache = self._cache_after(batch.prompt, len(own)) if batch.prompt else None
        self._outputs.clear()
        with torch.no_grad(), suppress(_LastLayerReached):
            self._model(
                input_ids=padded.to(self._model.device),
                attention_mask=mask.to(self._model.device),
                past_key_values=cache,
                use_cache=cache is not None,
            )
        self._refuse_silent_hooks()
        found = {
            name: self._pooled(self._outputs[name], [passages[index] for index in batch.members])
            for name in self._hook_names
        }
        self._outputs.clear()
        for name, vectors in found.items():
            if not bool(torch.isfinite(vectors).all()):
                raise ActivationProblem(
                    f"activations of {name} are not finite",
                    where="base_model.precision",
                    expected=f"numbers that {vectors.dtype} can hold",
                    next_step="state bf16 or fp32 as the compute format",
                )
        return found

    def _pooled(self, states: Tensor, passages: Sequence[Passage]) -> Tensor:
        """The vectors of a batch's hidden states [passages, tokens, d_in]."""
        rows = list(zip(states, passages, strict=True))
        if self._pooling == "every_token":
            found = torch.cat([row[one.skip : len(one.own)] for row, one in rows])
        elif self._pooling == "last_token":
            found = torch.stack([row[len(one.own) - 1] for row, one in rows])
        else:
            found = torch.stack([row[: len(one.own)].float().mean(dim=0) for row, one in rows])
        return found.cpu()

    def _cache_after(self, prompt: tuple[int, ...], n_rows: int) -> Any:
        """Keys and values of a prompt for so many rows, which the forward pass may append to."""
        from transformers import DynamicCache

        if prompt != self._prompt:
            self._prompt, self._prompt_cache = None, DynamicCache(config=self._model.config)
            self._outputs.clear()
            with torch.no_grad(), suppress(_LastLayerReached):
                ids = torch.tensor([list(prompt)], device=self._model.device)
                self._model(input_ids=ids, past_key_values=self._prompt_cache, use_cache=True)
            self._prompt = prompt
        cache = copy.deepcopy(self._prompt_cache)
        cache.batch_repeat_interleave(n_rows)
        return cache

    def _refuse_silent_hooks(self) -> None:
        silent = [name for name in self._hook_names if name not in self._outputs]
        if silent:
            raise HookProblem(
                f"the hook never fired on {', '.join(silent)}",
                where="base_model.model_type",
                expected="modules that run in a forward pass of the base model",
                next_step="check the module path of the family in manifests/hooks.py",
            )


@contextmanager
def reading(
    base: BaseModel, hook_names: Sequence[str], pooling: Pooling
) -> Iterator[ActivationReader]:
    """A reader whose hooks are on the model while the block runs.

    Args:
        base: the model and its tokenizer.
        hook_names: module paths whose output is read.
        pooling: `last_token`, a passage's last token; `completion_mean`, the mean over a
            completion's tokens, the prompt's left out; `every_token`, each position that the
            passage does not skip.

    Raises:
        HookProblem: a module does not exist.
    """
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
                module = base.model.get_submodule(name)
            except AttributeError as error:
                raise HookProblem(
                    f"the base model has no module {name}",
                    where="base_model.model_type",
                    expected="the path of a block of the loaded model",
                    next_step="check the family's path in manifests/hooks.py",
                ) from error
            stack.callback(module.register_forward_hook(hook(name)).remove)
        yield ActivationReader(base.model, hook_names, pooling, outputs)
