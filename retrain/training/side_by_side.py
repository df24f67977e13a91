"""One optimiser step of several SAEs side by side."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from retrain.architectures.gradients import Accumulated, StepResult
from retrain.architectures.sae import Sae
from retrain.training.adam import RowAdam

# What is summed up over the steps between two reports.
SUMS = ("loss", "active", "squared_error", "power", "vectors", "steps")


class SideBySide:
    """SAEs, their optimiser, and the sums of what the steps gave, [saes, len(SUMS)]."""

    def __init__(
        self,
        sae: Sae,
        *,
        batch_size: int,
        micro_batch: int,
        beta2: float = 0.999,
        max_gradient_norm: float | None = None,
    ) -> None:
        self.sae = sae
        self.optimiser = RowAdam(sae, beta2=beta2, max_gradient_norm=max_gradient_norm)
        self.micro_batch = micro_batch
        self.sums = sae.b_dec.new_zeros(len(sae.b_dec), len(SUMS))
        self._accumulated = None
        if micro_batch < batch_size:
            self._accumulated = Accumulated(
                torch.zeros_like(sae.W_dec), torch.zeros_like(sae.W_enc)
            )
        self._recorded: dict[int, _Recorded] = {}

    def step(self, z: Tensor, *, learning_rate: float, sparsity_scale: float) -> None:
        """Learn from a batch z [saes, vectors, d_in].

        On a GPU the first batch of each size records its kernels as a graph, and later ones
        replay it: hundreds of small launches become one.
        """
        self.optimiser.set_learning_rate(learning_rate)
        self.sae.sparsity_scale.fill_(sparsity_scale)
        if not z.is_cuda:
            self._step(z)
            return
        n = z.shape[1]
        if n not in self._recorded:
            self._recorded[n] = _Recorded(self._step, z, list(self.state().values()))
        self._recorded[n].replay(z)

    def _step(self, z: Tensor) -> None:
        n_batch = z.shape[1]
        if n_batch <= self.micro_batch:
            result = self.sae.step(z, n_batch)
            self._count(result, n_batch)
            self.optimiser.step(result.rows, result.radial, result.small)
        else:
            self._step_in_parts(z)
        self.sae.after_step()
        self.sums[:, SUMS.index("steps")] += 1

    def _step_in_parts(self, z: Tensor) -> None:
        assert self._accumulated is not None
        self._accumulated.clear()
        parts = list(torch.split(z, self.micro_batch, dim=1))
        self.sae.prepare(parts)
        radial = torch.zeros_like(self.sae.W_dec[:, :, 0])
        small: dict[str, Tensor] = {}
        for part in parts:
            result = self.sae.step(part, z.shape[1])
            self._count(result, part.shape[1])
            self._accumulated.add(result.rows, self.optimiser.scratch)
            radial += result.radial
            for name, gradient in result.small.items():
                small[name] = gradient + small[name] if name in small else gradient
        self.optimiser.step(self._accumulated, radial, small)

    def _count(self, result: StepResult, n_vectors: int) -> None:
        n = torch.full_like(result.loss, n_vectors)
        parts = (result.loss, result.active, result.squared_error, result.power, n)
        self.sums[:, : len(parts)] += torch.stack(parts, dim=1)

    def state(self) -> dict[str, Tensor]:
        """Everything that a step changes, by name; the tensors themselves, not copies."""
        return {
            "W_enc": self.sae.W_enc,
            "W_dec": self.sae.W_dec,
            **self.sae.small,
            **{f"state.{name}": tensor for name, tensor in self.sae.state().items()},
            **self.optimiser.state(),
            "sums": self.sums,
        }


class _Recorded:
    """A step on a GPU as one graph, for batches of one size."""

    def __init__(self, step: Callable[[Tensor], None], z: Tensor, state: list[Tensor]) -> None:
        """Warm up and record; `state` is put back to what it was."""
        self._z = z.clone()
        before = [tensor.clone() for tensor in state]
        stream = _side_stream(z.device)
        # Without the device and the stream, torch records on the first GPU, whatever z lies on.
        with torch.cuda.device(z.device):
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                # Libraries set up their workspaces on first use, which must not be recorded.
                for _ in range(2):
                    step(self._z)
            torch.cuda.current_stream().wait_stream(stream)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=stream):
                step(self._z)
            for tensor, kept in zip(state, before, strict=True):
                tensor.copy_(kept)

    def replay(self, z: Tensor) -> None:
        """Run the recorded step on a batch of the same size."""
        with torch.cuda.device(z.device):
            self._z.copy_(z)
            self._graph.replay()


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """The one stream of a GPU on which steps are recorded.

    cuBLAS keeps a workspace for each stream that it ever saw.
    """
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
