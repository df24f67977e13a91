"""What `release measure` is to compute, and with which settings."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from manifests.fields import Fraction, Strict, Text

_SMALLEST_NULL = 99
# The labels that a rule decides on; `ambiguous` is that it did not.
DecisiveLabel = Literal["deceptive", "honest"]


class Steering(Strict):
    """Generation with the labels' direction, as an SAE decodes it, added at its hook."""

    saes: tuple[Text, ...] = Field(min_length=1, description="Globs over SAE ids.")
    alphas: tuple[FiniteFloat, ...] = Field(
        (-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6),
        min_length=3,
        description="Strengths: 0, which is the model as it is, and others with their opposites. "
        "1 adds as much as an activation at the hook is typically long.",
    )
    per_scenario: PositiveInt = Field(
        5, description="Completions for each scenario of data.sampling and each alpha."
    )

    @model_validator(mode="after")
    def _both_ways(self) -> Self:
        ascending = sorted(self.alphas)
        opposites = sorted(-alpha for alpha in self.alphas)
        if 0 not in ascending or len(set(ascending)) < len(ascending) or ascending != opposites:
            raise ValueError("alphas are 0 and, for each other one, its opposite; each once")
        return self


class Stability(Strict):
    """How far d_max and its latents hold when splits or training seeds change."""

    splits: Annotated[int, Field(ge=2)] = Field(5, description="Re-sampled halves of the vectors.")
    top: PositiveInt = Field(20, description="Latents by |d| whose overlap is counted.")
    seeds: tuple[NonNegativeInt, ...] = Field(
        (), description="Further values of recipe.seed to train again with."
    )
    retrained: tuple[Text, ...] = Field(
        ("*",), min_length=1, description="Globs over the ids of SAEs that are trained again."
    )
    max_variation: PositiveFloat = Field(
        0.15, description="Stable: standard deviation of d_max over its mean is at most this."
    )
    min_overlap: Fraction = Field(
        0.5, description="Stable: mean share of top latents found again is at least this."
    )


class Measure(Strict):
    """Settings of the tables; the defaults suit a few hundred labelled completions and more."""

    positive: DecisiveLabel = Field(
        "deceptive", description="The label that probes detect; a positive d means more of it."
    )
    negative: DecisiveLabel = Field("honest", description="The label that it is told apart from.")
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    permutations: Annotated[int, Field(ge=_SMALLEST_NULL)] = Field(
        1000, description="Permuted labels in each null distribution."
    )
    top_features: PositiveInt = Field(5, description="Latents by |d| that are listed.")
    examples: PositiveInt = Field(3, description="Completions shown for each of them.")
    seed: NonNegativeInt = 0
    stability: Stability = Field(default_factory=lambda: Stability.model_validate({}))
    steering: Steering | None = Field(None, description="Null: no text is generated.")

    @model_validator(mode="after")
    def _two_labels(self) -> Self:
        if self.positive == self.negative:
            raise ValueError(f"positive and negative are both {self.positive}")
        return self
