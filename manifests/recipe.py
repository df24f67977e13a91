"""How the SAEs are trained: what all share, the recipe of each architecture, and the variants."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, PositiveFloat, PositiveInt

from manifests.fields import Identifier, Strict
from manifests.sae_recipes import (
    Architecture,
    BatchTopkRecipe,
    GatedRecipe,
    JumpreluRecipe,
    MatryoshkaRecipe,
    SaeRecipe,
    StandardRecipe,
    TopkRecipe,
)

# A part of the training steps.
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]


class ArchitectureRecipes(Strict):
    """One recipe for each architecture that is trained."""

    topk: TopkRecipe | None = None
    jumprelu: JumpreluRecipe | None = None
    gated: GatedRecipe | None = None
    batchtopk: BatchTopkRecipe | None = None
    matryoshka_batchtopk: MatryoshkaRecipe | None = None
    standard: StandardRecipe | None = None


class VariantRecipe(ArchitectureRecipes):
    """What a variant of the matrix trains differently; the rest is the plain recipe."""


class Recipe(ArchitectureRecipes):
    """How the SAEs are trained. One seed gives every SAE its own derived seed."""

    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    warmup: Share = Field(
        0.0, description="Share of the steps in which the learning rate grows from 0, linearly."
    )
    decay: Share = Field(
        0.0, description="Share of the steps, the last ones, in which it falls to 0, linearly."
    )
    sparsity_warmup: Share = Field(
        0.0,
        description="Share of the steps in which the weight of an L0 or L1 term grows from 0.",
    )
    adam_beta2: Annotated[FiniteFloat, Field(gt=0, lt=1)] = Field(
        0.999, description="How much of its mean of squared gradients one of Adam's steps leaves."
    )
    max_gradient_norm: PositiveFloat | None = Field(
        1.0,
        description="Limit of the norm of an SAE's gradient over all its parameters, in units of "
        "the scaled input; null: none.",
    )
    seed: Annotated[int, Field(ge=0)] = 0
    input_scale: Literal["none", "unit_mean_norm"] = Field(
        "unit_mean_norm",
        description="unit_mean_norm: inputs are centred on the training mean and divided by "
        "their mean norm while training; both are folded into the exported weights.",
    )
    products: Literal["fp32", "tf32"] = Field(
        "fp32",
        description="Precision of the matrix products of training on a GPU; tf32 rounds their "
        "factors to 10 bits and needs compute capability 8.0. A CPU always takes fp32.",
    )
    variants: dict[Identifier, VariantRecipe] = Field(
        default_factory=dict, description="By the name of the variant in `saes.variants`."
    )

    def of(self, architecture: Architecture, variant: str) -> SaeRecipe:
        """The recipe of one architecture and variant.

        Raises:
            KeyError: there is none; a checked manifest has one for each of its SAEs.
        """
        found = getattr(self.variants[variant], architecture) if variant else None
        found = found or getattr(self, architecture)
        if found is None:
            raise KeyError(f"no recipe for {architecture} {variant}")
        return found  # type: ignore[no-any-return]
