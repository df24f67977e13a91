"""What each architecture's training takes: one model of settings per architecture.

Coefficients multiply terms of a loss whose reconstruction part is ||z - z_hat||^2, summed over the
dimensions of the scaled input z and averaged over the batch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, Self

from pydantic import Field, FiniteFloat, PositiveFloat, PositiveInt, model_validator

from manifests.errors import ReleaseError
from manifests.fields import Strict

Architecture = Literal["topk", "jumprelu", "gated", "batchtopk", "matryoshka_batchtopk", "standard"]
SavedArchitecture = Literal["topk", "jumprelu", "gated", "standard"]
Kernel = Literal["rectangle", "gaussian"]
SparsityTerm = Literal["target_l0", "l0", "l1"]

NonNegativeFloat = Annotated[FiniteFloat, Field(ge=0)]

_SAVED_AS: dict[Architecture, SavedArchitecture] = {
    "batchtopk": "jumprelu",
    "matryoshka_batchtopk": "jumprelu",
}


def saved_architecture(architecture: Architecture) -> SavedArchitecture:
    """The `architecture` that cfg.json carries, an inference architecture of SAELens.

    The BatchTopK family is saved as JumpReLU with one threshold for all latents, as SAELens does.
    """
    return _SAVED_AS.get(architecture) or architecture  # type: ignore[return-value]


class TopkRecipe(Strict):
    """TopK (Gao et al. 2024, arXiv:2406.04093)."""

    k: PositiveInt = Field(description="Latents that stay active for each vector.")
    auxiliary_coefficient: NonNegativeFloat = Field(
        0.03125, description="Weight of the auxiliary loss on dead latents; 0 leaves it out."
    )
    auxiliary_k: PositiveInt | None = Field(
        None, description="Dead latents used by the auxiliary loss; null: d_in // 2."
    )


class BatchTopkRecipe(TopkRecipe):
    """BatchTopK (Bussmann et al. 2024, arXiv:2412.06410): k latents for each vector on average."""

    k: PositiveInt = Field(description="Active latents of a batch, divided by its vectors.")
    threshold_rate: Annotated[FiniteFloat, Field(gt=0, le=1)] = Field(
        0.01,
        description="How far each batch's smallest active latent moves the running threshold that "
        "stands in for the batch's own at inference.",
    )


class MatryoshkaRecipe(BatchTopkRecipe):
    """Matryoshka BatchTopK (Bussmann et al. 2025, arXiv:2503.17547): nested dictionaries."""

    widths: tuple[PositiveInt, ...] = Field(
        min_length=1,
        description="Latents of each inner dictionary, growing; the whole one comes last unnamed.",
    )

    @model_validator(mode="after")
    def _growing(self) -> Self:
        if list(self.widths) != sorted(set(self.widths)):
            raise ValueError(f"widths have to grow, and are {list(self.widths)}")
        return self


class ThresholdNotLearned(ReleaseError):
    """A stage needs the settings of a learned threshold, but the recipe fixes it at zero."""

    exit_code = 2


@dataclass(frozen=True)
class LearnedThreshold:
    """The settings of a learned JumpReLU threshold; `target_l0` only with that sparsity term."""

    kernel: Kernel
    bandwidth: float
    threshold_init: float
    sparsity: SparsityTerm
    sparsity_coefficient: float
    target_l0: float | None


class JumpreluRecipe(Strict):
    """JumpReLU with straight-through gradients (Rajamanoharan et al. 2024, arXiv:2407.14435).

    `fixed_at_zero` is for weights trained without an estimator, whose thresholds never moved from
    0: they are ReLU SAEs in a JumpReLU file, trained here with an L1 term for comparison. The
    keys of a learned threshold do not belong to it.
    """

    threshold: Literal["learned", "fixed_at_zero"] = Field(
        "learned", description="Whether training moves the thresholds; fixed at 0 it is a ReLU."
    )
    kernel: Kernel | None = Field(
        None,
        description="Kernel of the straight-through estimator; `rectangle` where it is learned.",
    )
    bandwidth: PositiveFloat | None = Field(
        None, description="Kernel width, in units of the scaled input."
    )
    threshold_init: PositiveFloat | None = Field(
        None, description="Threshold of every latent before training, in units of the scaled input."
    )
    sparsity: SparsityTerm | None = Field(
        None,
        description="What the coefficient weighs: target_l0 (the default), (L0 / target_l0 - 1)^2; "
        "l0, L0 itself as in the paper; l1, the sum of the latents.",
    )
    target_l0: PositiveFloat | None = Field(
        None, description="L0 that the term target_l0 pulls towards."
    )
    sparsity_coefficient: PositiveFloat | None = Field(
        None, description="Weight of the sparsity term; with fixed_at_zero, of the L1 term."
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_a_learned_threshold(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("threshold", "learned") == "learned":
            return {"kernel": "rectangle", "sparsity": "target_l0", **data}
        return data

    @model_validator(mode="after")
    def _learned_or_fixed(self) -> Self:
        names = [field.name for field in fields(LearnedThreshold)]
        if self.threshold == "fixed_at_zero":
            own = {"sparsity_coefficient"}
            given = [n for n in names if n not in own and getattr(self, n) is not None]
            if given:
                raise ValueError(f"a threshold fixed at zero has no {', '.join(given)}")
            return self
        needed = [n for n in names if n != "target_l0" or self.sparsity == "target_l0"]
        missing = [n for n in needed if getattr(self, n) is None]
        if missing:
            raise ValueError(f"a learned threshold needs {', '.join(missing)}")
        if self.sparsity != "target_l0" and self.target_l0 is not None:
            raise ValueError(f"target_l0 belongs to the term target_l0, not to {self.sparsity}")
        return self

    def learned(self) -> LearnedThreshold:
        """The settings that training with a learned threshold takes.

        Raises:
            ThresholdNotLearned: the recipe fixes the threshold at zero.
        """
        if (
            self.kernel is None
            or self.bandwidth is None
            or self.threshold_init is None
            or self.sparsity is None
            or self.sparsity_coefficient is None
        ):
            raise ThresholdNotLearned(
                "the recipe fixes the JumpReLU threshold at zero",
                where="recipe.jumprelu.threshold",
                expected="a learned threshold",
                next_step="train a variant with `threshold: learned`, or keep the present weights",
            )
        return LearnedThreshold(
            self.kernel,
            self.bandwidth,
            self.threshold_init,
            self.sparsity,
            self.sparsity_coefficient,
            self.target_l0,
        )


class GatedRecipe(Strict):
    """Gated SAE (Rajamanoharan et al. 2024, arXiv:2404.16014)."""

    l1_coefficient: PositiveFloat = Field(
        description="Weight of the L1 term on the gate's rectified pre-activations."
    )
    auxiliary_decoder: Literal["frozen", "trained"] = Field(
        "frozen",
        description="Whether the auxiliary loss, reconstruction by the gate alone, sends gradients "
        "to the decoder and b_dec: frozen, none, as in the paper; trained, as SAELens does.",
    )


class StandardRecipe(Strict):
    """ReLU SAE with an L1 term (Bricken et al. 2023, Towards Monosemanticity)."""

    l1_coefficient: PositiveFloat = Field(description="Weight of the sum of the latents.")


SaeRecipe = (
    MatryoshkaRecipe | BatchTopkRecipe | TopkRecipe | JumpreluRecipe | GatedRecipe | StandardRecipe
)
