"""How the SAEs are trained: the recipe of each architecture, and what variants change."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, Self

from pydantic import Field, FiniteFloat, PositiveFloat, PositiveInt, model_validator

from manifests.errors import ReleaseError
from manifests.fields import Identifier, Strict

Architecture = Literal["topk", "jumprelu", "gated"]


class TopkRecipe(Strict):
    """TopK (Gao et al. 2024, arXiv:2406.04093)."""

    k: PositiveInt = Field(description="Latents that stay active for each vector.")
    auxiliary_coefficient: Annotated[FiniteFloat, Field(ge=0)] = Field(
        0.03125, description="Weight of the auxiliary loss on dead latents; 0 leaves it out."
    )
    auxiliary_k: PositiveInt | None = Field(
        None, description="Dead latents used by the auxiliary loss; null: d_in // 2."
    )


class ThresholdNotLearned(ReleaseError):
    """A stage needs the settings of a learned threshold, but the recipe fixes it at zero."""

    exit_code = 2


@dataclass(frozen=True)
class LearnedThreshold:
    """The settings of a learned JumpReLU threshold, with nothing left open."""

    kernel: Literal["rectangle", "gaussian"]
    bandwidth: float
    threshold_init: float
    target_l0: float
    sparsity_coefficient: float


class JumpreluRecipe(Strict):
    """JumpReLU with straight-through gradients (Rajamanoharan et al. 2024, arXiv:2407.14435).

    `fixed_at_zero` is for weights trained without an estimator, whose thresholds never moved from
    0: they are ReLU SAEs in a JumpReLU file. All other keys belong to a learned threshold.
    """

    threshold: Literal["learned", "fixed_at_zero"] = Field(
        "learned", description="Whether training moved the thresholds; fixed at 0 it is a ReLU."
    )
    kernel: Literal["rectangle", "gaussian"] | None = Field(
        None,
        description="Kernel of the straight-through estimator; `rectangle` where it is learned.",
    )
    bandwidth: PositiveFloat | None = Field(
        None, description="Kernel width, in units of the scaled input."
    )
    threshold_init: PositiveFloat | None = Field(
        None, description="Threshold of every latent before training, in units of the scaled input."
    )
    target_l0: PositiveFloat | None = Field(
        None, description="L0 that the sparsity term pulls towards."
    )
    sparsity_coefficient: PositiveFloat | None = Field(
        None, description="Weight of the sparsity term."
    )

    @model_validator(mode="before")
    @classmethod
    def _kernel_of_the_paper(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("threshold", "learned") == "learned":
            return {"kernel": "rectangle", **data}
        return data

    @model_validator(mode="after")
    def _learned_or_fixed(self) -> Self:
        learned_only = [field.name for field in fields(LearnedThreshold)]
        missing = [name for name in learned_only if getattr(self, name) is None]
        given = [name for name in learned_only if getattr(self, name) is not None]
        if self.threshold == "learned" and missing:
            raise ValueError(f"a learned threshold needs {', '.join(missing)}")
        if self.threshold == "fixed_at_zero" and given:
            raise ValueError(f"a threshold fixed at zero has no {', '.join(given)}")
        return self

    def learned(self) -> LearnedThreshold:
        """The settings that training with a learned threshold takes, all of them known.

        Raises:
            ThresholdNotLearned: the recipe fixes the threshold at zero.
        """
        if (
            self.kernel is None
            or self.bandwidth is None
            or self.threshold_init is None
            or self.target_l0 is None
            or self.sparsity_coefficient is None
        ):
            raise ThresholdNotLearned(
                "the recipe fixes the JumpReLU threshold at zero",
                where="recipe.jumprelu.threshold",
                expected="a learned threshold, to train it",
                next_step="train a variant with `threshold: learned`, or keep the present weights",
            )
        return LearnedThreshold(
            self.kernel,
            self.bandwidth,
            self.threshold_init,
            self.target_l0,
            self.sparsity_coefficient,
        )


class GatedRecipe(Strict):
    """Gated SAE (Rajamanoharan et al. 2024, arXiv:2404.16014)."""

    l1_coefficient: PositiveFloat = Field(
        description="Weight of the L1 term on the gate's rectified pre-activations."
    )


class VariantRecipe(Strict):
    """What a variant of the matrix trains differently; the rest is the plain recipe."""

    topk: TopkRecipe | None = None
    jumprelu: JumpreluRecipe | None = None
    gated: GatedRecipe | None = None


class Recipe(Strict):
    """How the SAEs are trained. One seed gives every SAE its own derived seed."""

    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    seed: Annotated[int, Field(ge=0)] = 0
    input_scale: Literal["none", "unit_mean_norm"] = Field(
        "unit_mean_norm",
        description="unit_mean_norm: inputs are centred on the training mean and divided by "
        "their mean norm while training; both are folded into the exported weights.",
    )
    topk: TopkRecipe | None = None
    jumprelu: JumpreluRecipe | None = None
    gated: GatedRecipe | None = None
    variants: dict[Identifier, VariantRecipe] = Field(
        default_factory=dict, description="By the name of the variant in `saes.variants`."
    )

    def of(
        self, architecture: Architecture, variant: str
    ) -> TopkRecipe | JumpreluRecipe | GatedRecipe:
        """The recipe of one architecture and variant.

        Raises:
            KeyError: there is none; a checked manifest has one for each of its SAEs.
        """
        found = getattr(self.variants[variant], architecture) if variant else None
        found = found or getattr(self, architecture)
        if found is None:
            raise KeyError(f"no recipe for {architecture} {variant}")
        return found  # type: ignore[no-any-return]
