"""From activation vectors to trained SAEs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from manifests.digests import bytes_sha256
from manifests.recipe import Recipe
from manifests.sae_recipes import JumpreluRecipe, SaeRecipe
from retrain.architectures.build import build_saes
from retrain.architectures.dictionary import random_dictionary
from retrain.input_scale import InputScale, fit_input_scale
from retrain.jobs import StepReport, Unit
from retrain.training.batches import Inputs, order_of_batches, vectors_of
from retrain.training.checkpoint import Checkpoint, CurvePoint, resume
from retrain.training.precision import products_in
from retrain.training.schedule import learning_rate, sparsity_scale
from retrain.training.side_by_side import SUMS, SideBySide
from retrain.vectors import Vectors

CURVE_POINTS = 50
CHECKPOINT_SECONDS = 300.0
# A latent counts as dead after an epoch without activity, in long epochs after so many batches.
DEAD_AFTER = 1000

OnStep = Callable[[StepReport], None]


@dataclass(frozen=True)
class Trained:
    """One trained SAE: tensors for raw activations, float32 on the CPU, and how training went.

    `loss_curve` has points (step, loss, l0, explained variance), each a mean over the steps since
    the last, on the training batches and in the trainer's scaled units. `seconds` is the unit's
    time divided by its SAEs.
    """

    sae_id: str
    tensors: dict[str, Tensor]
    scale: float
    threshold_init: float | None
    steps: int
    final_loss: float
    final_l0: float
    loss_curve: tuple[CurvePoint, ...]
    seconds: float
    n_saes_together: int


def sae_seed(recipe_seed: int, sae_id: str) -> int:
    """The SAE's own seed, below 2^53: first bytes of SHA-256 of `recipe_seed:sae_id`.

    So neither the order of training nor `--only` changes what an SAE is trained from.
    """
    return int(bytes_sha256(f"{recipe_seed}:{sae_id}".encode())[:13], 16)


def steps_per_epoch(n_vectors: int, recipe: Recipe) -> int:
    """Batches of one epoch, the last one being smaller."""
    return math.ceil(n_vectors / recipe.batch_size)


def n_steps(n_vectors: int, recipe: Recipe) -> int:
    """Optimiser steps of one SAE."""
    return recipe.epochs * steps_per_epoch(n_vectors, recipe)


@torch.no_grad()
def train_unit(
    unit: Unit,
    vectors: Mapping[str, Vectors],
    *,
    on_step: OnStep | None = None,
    checkpoint: Path | None = None,
) -> tuple[Trained, ...]:
    """Train the SAEs of a unit, side by side.

    Args:
        unit: SAEs of one recipe and shape, with equally many vectors.
        vectors: raw activations by hook.
        on_step: called about `CURVE_POINTS` times.
        checkpoint: where the middle of the training is kept, every five minutes; what lies there
            of a former call for the same unit is continued, to the same weights.

    Returns:
        In the order of the unit's jobs.

    Raises:
        NoVariance: all vectors of an SAE are the same.
        NoTf32: the recipe asks for it of a GPU that has none.
    """
    with products_in(unit.recipe.products, unit.device):
        training = _Training.start(unit, vectors)
        if checkpoint is not None:
            training.resume(checkpoint)
        training.run(on_step, checkpoint)
        return training.trained()


@dataclass
class _Training:
    """A unit in the middle of its training."""

    unit: Unit
    inputs: Inputs
    scales: list[InputScale]
    saes: SideBySide
    generators: list[torch.Generator]
    n_vectors: int
    steps: int = 0
    curves: list[list[CurvePoint]] = field(default_factory=list)
    seconds_before: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    @classmethod
    def start(cls, unit: Unit, vectors: Mapping[str, Vectors]) -> _Training:
        recipe, first = unit.recipe, unit.jobs[0]
        sources = [vectors_of(job, vectors) for job in unit.jobs]
        n_vectors = len(sources[0])
        assert all(len(source) == n_vectors for source in sources)
        scales = [fit_input_scale(source, recipe.input_scale) for source in sources]
        generators = [torch.Generator().manual_seed(job.seed) for job in unit.jobs]
        dictionary = torch.stack(
            [random_dictionary(first.d_sae, sources[0].d_in, g) for g in generators]
        ).to(unit.device)
        batch_size = min(recipe.batch_size, n_vectors)
        sae = build_saes(
            first.sae_recipe,
            dictionary,
            dead_after=min(DEAD_AFTER, steps_per_epoch(n_vectors, recipe)),
            micro_batch=min(unit.micro_batch, batch_size),
        )
        saes = SideBySide(
            sae,
            batch_size=batch_size,
            micro_batch=unit.micro_batch,
            beta2=recipe.adam_beta2,
            max_gradient_norm=recipe.max_gradient_norm,
        )
        inputs = Inputs(sources, scales, unit)
        curves: list[list[CurvePoint]] = [[] for _ in unit.jobs]
        return cls(unit, inputs, scales, saes, generators, n_vectors, curves=curves)

    @property
    def n_steps(self) -> int:
        return n_steps(self.n_vectors, self.unit.recipe)

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started

    def resume(self, path: Path) -> None:
        found = resume(path, self.unit, self.saes.state())
        if found is not None:
            self.steps, self.curves, self.seconds_before = found.steps, found.curves, found.seconds

    def run(self, on_step: OnStep | None, checkpoint: Path | None) -> None:
        recipe = self.unit.recipe
        stride = max(1, math.ceil(self.n_steps / CURVE_POINTS))
        orders = [
            order_of_batches(
                generator,
                n_vectors=self.n_vectors,
                epochs=recipe.epochs,
                batch_size=recipe.batch_size,
                skip=self.steps,
            )
            for generator in self.generators
        ]
        written = time.monotonic()
        for rows in zip(*orders, strict=True):
            self.saes.step(
                self.inputs.batch(torch.stack(rows)),
                learning_rate=learning_rate(self.steps, self.n_steps, recipe),
                sparsity_scale=sparsity_scale(self.steps, self.n_steps, recipe),
            )
            self.steps += 1
            if self.steps % stride == 0 or self.steps == self.n_steps:
                report = self._report()
                if on_step is not None:
                    on_step(report)
            if checkpoint is not None and time.monotonic() - written > CHECKPOINT_SECONDS:
                self._checkpoint(checkpoint)
                written = time.monotonic()

    def _report(self) -> StepReport:
        """Add a point to each SAE's curve; their means are the report."""
        sums = self.saes.sums.to("cpu", torch.float64)
        loss, active, squared_error, power, vectors, steps = (
            sums[:, index] for index in range(len(SUMS))
        )
        # The inputs are centred on the mean of all training vectors, so their power is their
        # variance.
        columns = (loss / steps, active / vectors, 1 - squared_error / power)
        for curve, values in zip(self.curves, zip(*columns, strict=True), strict=True):
            curve.append((self.steps, *(float(value) for value in values)))  # type: ignore[arg-type]
        self.saes.sums.zero_()
        means = [float(column.mean()) for column in columns]
        first = self.unit.jobs[0].sae_id
        return StepReport(first, len(self.unit.jobs), self.steps, self.n_steps, *means)

    def _checkpoint(self, path: Path) -> None:
        made = Checkpoint(self.steps, self.curves, self.seconds)
        made.write(path, self.unit, self.saes.state())

    def trained(self) -> tuple[Trained, ...]:
        """Read the results off the device."""
        n_saes, sae = len(self.unit.jobs), self.saes.sae
        results = []
        for index, (job, scale, curve) in enumerate(
            zip(self.unit.jobs, self.scales, self.curves, strict=True)
        ):
            tensors = sae.exported(index, scale)
            results.append(
                Trained(
                    sae_id=job.sae_id,
                    tensors={
                        name: tensor.float().cpu().contiguous() for name, tensor in tensors.items()
                    },
                    scale=scale.scale,
                    threshold_init=_exported_threshold_init(job.sae_recipe, scale),
                    steps=self.n_steps,
                    final_loss=curve[-1][1],
                    final_l0=curve[-1][2],
                    loss_curve=tuple(curve),
                    seconds=self.seconds / n_saes,
                    n_saes_together=n_saes,
                )
            )
        return tuple(results)


def _exported_threshold_init(recipe: SaeRecipe, scale: InputScale) -> float | None:
    """The threshold before training in the units of raw activations; None where none is learned."""
    if not isinstance(recipe, JumpreluRecipe) or recipe.threshold != "learned":
        return None
    return recipe.learned().threshold_init * scale.scale
