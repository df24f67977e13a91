"""From a recipe to untrained SAEs."""

from __future__ import annotations

from torch import Tensor

from manifests.sae_recipes import (
    BatchTopkRecipe,
    GatedRecipe,
    JumpreluRecipe,
    MatryoshkaRecipe,
    SaeRecipe,
    StandardRecipe,
    TopkRecipe,
)
from retrain.architectures.batchtopk import BatchTopkSae
from retrain.architectures.gated import GatedSae
from retrain.architectures.jumprelu import JumpreluSae
from retrain.architectures.matryoshka import MatryoshkaSae
from retrain.architectures.sae import Sae
from retrain.architectures.standard import LegacyJumpreluSae, StandardSae
from retrain.architectures.topk import TopkSae


def build_saes(recipe: SaeRecipe, dictionary: Tensor, *, dead_after: int, micro_batch: int) -> Sae:
    """Untrained SAEs of the recipe's architecture, where their dictionaries lie.

    Args:
        recipe: of one architecture.
        dictionary: unit rows, [saes, d_sae, d_in], float32.
        dead_after: batches without activity after which a latent counts as dead.
        micro_batch: most vectors of one call of `Sae.step`.
    """
    match recipe:
        case MatryoshkaRecipe():
            return MatryoshkaSae(dictionary, recipe, dead_after=dead_after, micro_batch=micro_batch)
        case BatchTopkRecipe():
            return BatchTopkSae(dictionary, recipe, dead_after=dead_after, micro_batch=micro_batch)
        case TopkRecipe():
            return TopkSae(dictionary, recipe, dead_after=dead_after, micro_batch=micro_batch)
        case JumpreluRecipe(threshold="fixed_at_zero"):
            return LegacyJumpreluSae(
                dictionary,
                l1_coefficient=recipe.sparsity_coefficient or 0.0,
                micro_batch=micro_batch,
            )
        case JumpreluRecipe():
            return JumpreluSae(dictionary, recipe.learned(), micro_batch=micro_batch)
        case GatedRecipe():
            return GatedSae(dictionary, recipe, micro_batch=micro_batch)
        case StandardRecipe():
            return StandardSae(
                dictionary, l1_coefficient=recipe.l1_coefficient, micro_batch=micro_batch
            )
