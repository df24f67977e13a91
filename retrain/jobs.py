"""Pieces of training work: one SAE, and the SAEs that are trained together."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from manifests.recipe import Recipe
from manifests.sae_recipes import SaeRecipe


@dataclass(frozen=True, eq=False)
class Job:
    """One SAE to train.

    `hook` names the vectors; `rows` (int64) are those of a training condition, None means all.
    `seed` decides the dictionary to begin with and the order of the batches.
    """

    sae_id: str
    hook: str
    rows: Tensor | None
    d_sae: int
    sae_recipe: SaeRecipe
    seed: int


@dataclass(frozen=True, eq=False)
class Unit:
    """SAEs of one recipe and shape that are trained as one batch; on a CPU it is one.

    `micro_batch` is the number of vectors computed at a time; below `recipe.batch_size`, gradients
    are accumulated. `resident`: the vectors are held on the device; else each batch is read when
    it is its turn. Neither changes what is learned but for the last bits.
    """

    jobs: tuple[Job, ...]
    recipe: Recipe
    device: str
    micro_batch: int
    resident: bool = True


@dataclass(frozen=True)
class StepReport:
    """How a unit's training goes: means over its SAEs since the last report.

    `explained_variance` is of the batches trained on, before each step: higher than what held-out
    vectors show.
    """

    sae_id: str
    n_saes: int
    step: int
    n_steps: int
    loss: float
    l0: float
    explained_variance: float
