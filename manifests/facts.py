"""What a manifest says beyond its SAEs: citations, reported facts, claims, exceptions."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveInt,
    StringConstraints,
    model_validator,
)

Sentence = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
CheckCode = Annotated[str, StringConstraints(pattern=r"^[A-Z][0-9]{3}$")]

# Accuracy and balanced accuracy are different metrics; neither stands for the other.
ReportedMetric = Literal[
    "accuracy",
    "agreement",
    "auroc",
    "balanced_accuracy",
    "balanced_accuracy_difference",
    "cohens_d",
    "cohens_d_max",
    "explained_variance",
    "l0",
    "alive_latents",
    "latents_with_d_above_1",
    "mse",
    "n_completions",
    "saes_beating_raw_baseline",
    "conditions_in_which_ste_beats_topk",
    "p_value",
    "honest_rate",
    "top_latent_overlap",
    "training_seconds",
    "cosine",
    "unspecified_accuracy",
]


class Fact(BaseModel):
    """A frozen value that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Citation(Fact):
    """A work to cite."""

    key: Sentence = Field(description="BibTeX key.")
    title: Sentence
    authors: tuple[Sentence, ...] = Field(min_length=1)
    year: Annotated[int, Field(ge=1900, le=2100)]
    arxiv: Annotated[str, StringConstraints(pattern=r"^\d{4}\.\d{4,5}$")] | None = None
    url: Annotated[str, StringConstraints(pattern=r"^https://\S+$")] | None = None


class Reported(Fact):
    """A number from elsewhere that cannot be recomputed here; never mixed with measured ones."""

    name: Sentence = Field(description="What it is the number of; unique in the manifest.")
    metric: ReportedMetric
    value: FiniteFloat
    approximate: bool = Field(False, description="The source gives it as 'about'.")
    bound: Literal["below", "above"] | None = Field(
        None, description="The source says only that it lies below or above the value."
    )
    plus_minus: Annotated[FiniteFloat, Field(ge=0)] | None = Field(
        None, description="The source's ±, whichever spread that is; null: not reported."
    )
    unit: Literal["", "%", "s", "count", "percentage points"] = ""
    n: PositiveInt | None = Field(None, description="Samples it rests on; null: not reported.")
    out_of: PositiveInt | None = Field(None, description="For counts: out of how many.")
    split: Sentence | None = Field(None, description="On what; null: not reported.")
    layer: Annotated[int, Field(ge=0)] | None = None
    sae_id: Sentence | None = None
    source: Sentence = Field(description="Where it was read.")
    date: datetime.date | None = Field(None, description="Date of the source; null: unknown.")

    @model_validator(mode="after")
    def _count_within_total(self) -> Self:
        if self.out_of is not None and self.value > self.out_of:
            raise ValueError(f"{self.value:g} is more than out_of, {self.out_of}")
        return self


class NamedScenario(Fact):
    """A scenario that a source names without giving its prompt."""

    id: Sentence
    kind: Literal["incentive", "role_play"] | None = Field(
        None, description="role_play: the prompt assigns the identity; null: not reported."
    )
    note: Sentence | None = None


class Claim(Fact):
    """A sentence about the results, with the expression that must hold for it to be printed."""

    text: Sentence
    holds_if: Sentence = Field(
        description="A condition over metrics, such as `worst(explained_variance) > 0`; see "
        "docs/manifest.md for what it may use."
    )


class Accept(Fact):
    """A check that is known to fail, and why that is accepted; the card prints it."""

    code: CheckCode
    where: Sentence = Field("*", description="Glob over SAE ids; `*` is everything.")
    since: datetime.date
    why: Sentence


class Resolution(Fact):
    """How a contradiction in an earlier publication was resolved in this manifest."""

    found: Sentence = Field(description="What the earlier page says, and where.")
    resolved: Sentence = Field(description="What this manifest states instead, and why.")


class Correction(Fact):
    """Words of an earlier page that a resolution says are wrong."""

    words: Annotated[Sentence, StringConstraints(min_length=8)] = Field(
        description="As a reader sees them on the page; marks and line breaks do not count."
    )
    instead: Sentence | None = Field(
        None, description="What is true in their place; null: nothing that can be said so."
    )


class PageResolution(Resolution):
    """A resolution with the page's own words, which no import of that page repeats."""

    corrections: tuple[Correction, ...] = Field(
        (),
        description="What `release import` of the same repository leaves out or puts in its place.",
    )
    caveat: Sentence | None = Field(
        None, description="Title of the caveat of this manifest that says so, for an import too."
    )
