"""The training loop: from activation vectors to one SAE's tensors."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from manifests.digests import bytes_sha256
from manifests.recipe import GatedRecipe, JumpreluRecipe, Recipe, TopkRecipe
from retrain.architecture import TrainableSae
from retrain.dictionary import project_gradient, random_dictionary, renormalise
from retrain.gated import GatedSae
from retrain.input_scale import InputScale, fit_input_scale
from retrain.jumprelu import JumpreluSae
from retrain.topk import TopkSae

CURVE_POINTS = 50

SaeRecipe = TopkRecipe | JumpreluRecipe | GatedRecipe
CurvePoint = tuple[int, float, float]
OnStep = Callable[[int, float, float], None]


@dataclass(frozen=True)
class Trained:
    """One trained SAE: tensors for raw activations, and how training went."""

    tensors: dict[str, Tensor]
    scale: float
    threshold_init: float | None
    steps: int
    final_loss: float
    final_l0: float
    loss_curve: tuple[CurvePoint, ...]
    seconds: float


def sae_seed(recipe_seed: int, sae_id: str) -> int:
    """The SAE's own seed, below 2^53: first bytes of SHA-256 of `recipe_seed:sae_id`.

    So neither the order of training nor `--only` changes what an SAE is trained from.
    """
    return int(bytes_sha256(f"{recipe_seed}:{sae_id}".encode())[:13], 16)


def build_sae(recipe: SaeRecipe, dictionary: Tensor, *, steps_per_epoch: int) -> TrainableSae:
    """An untrained SAE of the recipe's architecture, on the dictionary's device."""
    match recipe:
        case TopkRecipe():
            return TopkSae(dictionary, recipe, dead_after_steps=steps_per_epoch)
        case JumpreluRecipe():
            return JumpreluSae(dictionary, recipe)
        case GatedRecipe():
            return GatedSae(dictionary, recipe)


def n_steps(n_vectors: int, recipe: Recipe) -> int:
    """Optimiser steps of one SAE: epochs x batches, the last batch of an epoch being smaller."""
    return recipe.epochs * math.ceil(n_vectors / recipe.batch_size)


def train_sae(
    x: Tensor,
    d_sae: int,
    recipe: Recipe,
    sae_recipe: SaeRecipe,
    *,
    seed: int,
    device: str = "cpu",
    on_step: OnStep | None = None,
) -> Trained:
    """Train one SAE on raw activation vectors.

    Args:
        x: training vectors [vectors, d_in], float32.
        d_sae: number of latents.
        recipe: epochs, batch size, learning rate, input scale.
        sae_recipe: the architecture and its own values.
        seed: seeds the dictionary and the order of the batches; torch's global generator is
            neither used nor changed.
        device: where torch computes.
        on_step: called after each point of the loss curve with (steps done, loss, l0).

    Raises:
        NoVariance: all vectors are the same.
    """
    started = time.perf_counter()
    generator = torch.Generator().manual_seed(seed)
    scale = fit_input_scale(x, recipe.input_scale)
    z = scale.apply(x).to(device)
    dictionary = random_dictionary(d_sae, x.shape[1], generator).to(device)
    steps_per_epoch = math.ceil(len(z) / recipe.batch_size)
    sae = build_sae(sae_recipe, dictionary, steps_per_epoch=steps_per_epoch)
    curve = _optimise(sae, z, recipe, generator, on_step)
    return Trained(
        tensors={name: t.float().cpu().contiguous() for name, t in sae.exported(scale).items()},
        scale=scale.scale,
        threshold_init=_exported_threshold_init(sae_recipe, scale),
        steps=steps_per_epoch * recipe.epochs,
        final_loss=curve[-1][1],
        final_l0=curve[-1][2],
        loss_curve=curve,
        seconds=time.perf_counter() - started,
    )


def _optimise(
    sae: TrainableSae, z: Tensor, recipe: Recipe, generator: torch.Generator, on_step: OnStep | None
) -> tuple[CurvePoint, ...]:
    optimiser = torch.optim.Adam(sae.parameters(), lr=recipe.learning_rate, fused=True)
    total = n_steps(len(z), recipe)
    stride = max(1, math.ceil(total / CURVE_POINTS))
    curve: list[CurvePoint] = []
    sums, since, step = torch.zeros(2, device=z.device), 0, 0
    for _ in range(recipe.epochs):
        order = torch.randperm(len(z), generator=generator).to(z.device)
        for rows in torch.split(order, recipe.batch_size):
            result = sae.step_loss(z[rows])
            optimiser.zero_grad(set_to_none=True)
            result.loss.backward()  # type: ignore[no-untyped-call]
            project_gradient(sae.W_dec)
            optimiser.step()
            renormalise(sae.W_dec)
            sae.after_step()
            sums += torch.stack((result.loss.detach(), result.l0))
            step, since = step + 1, since + 1
            if step % stride == 0 or step == total:
                loss, l0 = (sums / since).tolist()
                curve.append((step, loss, l0))
                if on_step is not None:
                    on_step(step, loss, l0)
                sums.zero_()
                since = 0
    return tuple(curve)


def _exported_threshold_init(recipe: SaeRecipe, scale: InputScale) -> float | None:
    if not isinstance(recipe, JumpreluRecipe):
        return None
    return recipe.learned().threshold_init * scale.scale
