"""At which precisions `release portability` tries an SAE, and what decides whether it fits."""

from __future__ import annotations

import difflib
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from manifests.fields import Fraction, RepoId, Strict, Text

ComputeName = Literal["fp32", "fp16", "bf16"]

COMPUTE_NAMES: tuple[ComputeName, ...] = ("fp32", "fp16", "bf16")
WEIGHTS_NAMES = ("fp32", "fp16", "bf16", "fp8", "int8", "fp4", "fp4-dq", "nf4", "nf4-dq")


def split_precision_name(name: str) -> tuple[str, ComputeName | None]:
    """Weights and compute format of a name such as `nf4-dq:fp16`; None where it states none.

    Raises:
        ValueError: no such weights, no such compute format, or unquantised weights that would be
            computed in another format.
    """
    weights, colon, compute = name.partition(":")
    if weights not in WEIGHTS_NAMES:
        raise ValueError(f"no precision is called {weights!r}; {_near(weights, WEIGHTS_NAMES)}")
    if not colon:
        return weights, None
    if compute not in COMPUTE_NAMES:
        raise ValueError(
            f"nothing is computed in {compute!r}, as {name!r} asks; {_near(compute, COMPUTE_NAMES)}"
        )
    if weights in COMPUTE_NAMES and compute != weights:
        raise ValueError(f"unquantised {weights} weights are computed in {weights}, not {compute}")
    return weights, compute


def _near(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return f"{meant}There are {', '.join(known)}"


def _known(name: str) -> str:
    split_precision_name(name)
    return name


PrecisionText = Annotated[Text, AfterValidator(_known)]


class PortabilityLimits(Strict):
    """From where on an SAE does not fit another precision; defaults: the GF-1 card's, and one more.

    `min_overlap` is there since explained variance alone misses that other latents answer. Where k
    latents are active on both sides, a Jaccard index J means that 2J / (1 + J) of them are found
    again: at 0.67 four in five, so that as large a share of the latents may be lost as of the
    explained variance. On SmolLM2-135M-Instruct, four SAEs made at fp32 had 0.99 at fp16, 0.96 to
    0.98 at bf16, 0.76 to 0.80 at int8, 0.34 to 0.47 at nf4 and 0.24 to 0.38 at fp4 (100 held-out
    completions), so that this limit lies between formats and not among the SAEs of one.
    """

    max_explained_variance_drop: PositiveFloat = Field(
        0.2, description="Largest fall of explained variance, as a share of its reference value."
    )
    max_alive_shift: PositiveFloat = Field(
        0.5, description="Largest change of the number of alive latents, up or down, as a share."
    )
    min_overlap: Fraction = Field(
        0.67, description="Least mean Jaccard index of the active latents, vector by vector."
    )


class ClaimedSize(Strict):
    """What somebody says that the weights take, held against the model as it is loaded."""

    precision: PrecisionText
    effective_bits: PositiveFloat | None = Field(
        None, description="Bits for each parameter, block scales included."
    )
    of: Literal["quantised", "whole"] = Field(
        "quantised",
        description="Whether `effective_bits` is of the quantised layers alone or of all "
        "parameters.",
    )
    memory_gb: PositiveFloat | None = Field(
        None, description="What the whole model's weights take, in 10^9 bytes."
    )
    tolerance: Fraction = Field(0.05, description="Largest relative error that still agrees.")
    source: Text | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.effective_bits is None and self.memory_gb is None:
            raise ValueError("a claimed size states effective_bits, memory_gb or both")
        return self


class OtherModel(Strict):
    """Another base model that a reader may think of; nothing is run on it."""

    id: RepoId
    d_model: PositiveInt | None = Field(None, description="Null when it is not known.")
    relation: Text = Field(description="What it is to the base model, such as `instruction-tuned`.")


class Portability(Strict):
    """Settings of `release portability`."""

    precisions: tuple[PrecisionText, ...] = Field(
        ("fp32", "fp16", "bf16", "int8", "nf4"),
        min_length=1,
        description="Precisions to try: weights, with the compute format after a colon. Without "
        "one, quantised weights are computed in the format of `base_model.precision`.",
    )
    require: tuple[PrecisionText, ...] = Field(
        (), description="Precisions at which every SAE must be found to work."
    )
    limits: PortabilityLimits = Field(default_factory=lambda: PortabilityLimits.model_validate({}))
    claimed: tuple[ClaimedSize, ...] = ()
    other_models: tuple[OtherModel, ...] = ()
