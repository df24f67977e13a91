"""What changes from step to step: the learning rate and the weight of a sparsity term."""

from __future__ import annotations

from manifests.recipe import Recipe


def learning_rate(step: int, n_steps: int, recipe: Recipe) -> float:
    """The learning rate of a step, counted from 0.

    It grows linearly over the first `warmup` of the steps and falls linearly to 0 over the last
    `decay` of them; where the two overlap, the smaller one holds.
    """
    factor = 1.0
    if recipe.warmup > 0:
        factor = min(factor, (step + 1) / (recipe.warmup * n_steps))
    if recipe.decay > 0:
        factor = min(factor, (n_steps - step) / (recipe.decay * n_steps))
    return recipe.learning_rate * factor


def sparsity_scale(step: int, n_steps: int, recipe: Recipe) -> float:
    """By how much the weight of an L0 or L1 term is reduced at a step, counted from 0."""
    if recipe.sparsity_warmup == 0:
        return 1.0
    return min(1.0, (step + 1) / (recipe.sparsity_warmup * n_steps))
