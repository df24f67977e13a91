"""`measurements.distributions` of a report: how numbers are spread over an SAE's latents, in bins.

Bins take the place of one number for each latent, of which a repository can have millions.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

NonNegative = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bins(_Strict):
    """Latents by value; a bin holds its lower edge, and the last one its upper edge too."""

    edges: tuple[FiniteFloat, ...] = Field(description="Ascending; one more than counts.")
    counts: tuple[NonNegative, ...] = Field(min_length=1, description="Latents in each bin.")
    below: NonNegative = Field(description="Latents under the first edge.")
    above: NonNegative = Field(description="Latents over the last edge.")

    @model_validator(mode="after")
    def _edges_fit(self) -> Self:
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError("there is one more edge than counts")
        if any(low >= high for low, high in itertools.pairwise(self.edges)):
            raise ValueError("the edges of bins ascend")
        return self

    @property
    def n_latents(self) -> int:
        """All latents that were counted."""
        return self.below + sum(self.counts) + self.above


class FiringDensity(_Strict):
    """On which share of n vectors each latent was active."""

    n: Positive = Field(description="Activation vectors.")
    split: Literal["held_out"]
    shares: Bins = Field(description="By share of the n vectors; `below`: active on none of them.")


class ThresholdSpread(_Strict):
    """JumpReLU: the thresholds before and after training, in the units of the exported weights."""

    latents: Literal["alive", "all"] = Field(
        description="`alive`: active on at least one training vector; `all`: it is not known on "
        "which vectors the SAE was trained."
    )
    n_left_out: NonNegative = Field(description="Latents that are not alive.")
    before: FiniteFloat | None = Field(
        description="The threshold of every latent before training; null: not recorded."
    )
    after: Bins
    n_not_above_zero: NonNegative = Field(description="Of `after.below`, thresholds of 0 or less.")

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.n_not_above_zero > self.after.below:
            raise ValueError("thresholds of 0 or less lie under the first edge")
        return self


class Distributions(_Strict):
    """Of one SAE."""

    firing_density: FiringDensity | None = Field(description="Null: there were no vectors.")
    thresholds: ThresholdSpread | None = Field(
        description="Null: the architecture has no threshold for each latent, or none was alive."
    )
