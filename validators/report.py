"""`report.json`: what was checked and what was measured, and on which bytes.

Each section carries the digests of the files it looked at. A stage replaces only its own section.
Unknown is not a number: a value that is None has a reason.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from manifests.build_folder import write_atomically
from manifests.errors import ReleaseError
from validators.distributions import Distributions

FORMAT: Literal["sae-release.report/3"] = "sae-release.report/3"

Tier = Literal["static", "load", "activations"]
Severity = Literal["fail", "warn", "note"]
OutcomeKind = Literal["passed", "failed", "accepted", "warned", "noted", "skipped", "crashed"]
Digests = dict[str, str]
NonNegative = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measurement(_Strict):
    """One measured number with what it was measured on, or why there is none."""

    value: FiniteFloat | None
    n: NonNegative = Field(description="Activation vectors (or what `unit` counts) it rests on.")
    split: Literal["held_out", "train"] | None = None
    unit: str = ""
    low: FiniteFloat | None = Field(None, description="Lower end of the 95% interval.")
    high: FiniteFloat | None = Field(None, description="Upper end of the 95% interval.")
    spread: FiniteFloat | None = Field(
        None, description="Standard deviation over folds, splits or seeds (n - 1)."
    )
    p_value: Annotated[FiniteFloat, Field(ge=0, le=1)] | None = None
    reason: str | None = Field(None, description="Why `value` is null.")

    @model_validator(mode="after")
    def _value_or_reason(self) -> Self:
        if (self.value is None) != (self.reason is not None):
            raise ValueError("a measurement has a value, or a reason why it has none")
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has two ends")
        return self


class Acceptance(_Strict):
    """That the manifest knows of a failure: since when, and why it is accepted."""

    since: datetime.date
    why: str


class Outcome(_Strict):
    """The result of one check on one subject."""

    code: str
    title: str = Field(description="What the check asks, in one line.")
    tier: Tier
    severity: Severity
    outcome: OutcomeKind
    subject: str = Field(description="SAE id, or file path, or '' for the whole repository.")
    found: str = Field("", description="What was found, or why the check was skipped.")
    expected: str = Field("", description="What was expected, and who says so.")
    next_step: str = Field("", description="What to do about it.")
    required: bool = Field(
        True, description="False: skipped because there was nothing to ask about, so no gap."
    )
    acceptance: Acceptance | None = Field(
        None, description="For an accepted failure: what the manifest says of it."
    )

    @model_validator(mode="after")
    def _accepted_with_a_reason(self) -> Self:
        if (self.outcome == "accepted") != (self.acceptance is not None):
            raise ValueError("an outcome is accepted if and only if it says since when and why")
        return self


class Checks(_Strict):
    """The section `checks`."""

    inputs: Digests = Field(description="SHA-256 of every file looked at, by path_in_repo.")
    tiers: tuple[Tier, ...]
    environment: dict[str, str]
    outcomes: tuple[Outcome, ...]

    def count(self, *kinds: OutcomeKind) -> int:
        """How many outcomes are of one of the kinds."""
        return sum(outcome.outcome in kinds for outcome in self.outcomes)

    @property
    def n_gaps(self) -> int:
        """How many required checks were skipped."""
        return sum(o.outcome == "skipped" and o.required for o in self.outcomes)

    @property
    def exit_code(self) -> int:
        """0 good; 1 a check failed or crashed; 3 a required one was skipped, or none was asked."""
        if self.count("failed", "crashed"):
            return 1
        asked = self.count("passed", "warned", "noted", "accepted")
        return 3 if self.n_gaps or not asked else 0


class Measurements(_Strict):
    """The section `measurements`."""

    inputs: Digests = Field(description="SHA-256 of weights, configs and data that were used.")
    environment: dict[str, str]
    n_vectors: dict[str, dict[str, int]] = Field(
        description="Number of vectors: condition -> split (train, held_out) -> n."
    )
    saes: dict[str, dict[str, Measurement]] = Field(
        description="sae_id -> metric name of docs/terms.md -> measurement."
    )
    distributions: dict[str, Distributions] = Field(
        default_factory=dict, description="By sae_id; empty in a report of the format before."
    )


class Example(_Strict):
    """One of the completions on which a latent is largest."""

    completion_id: str
    label: str
    text: str = Field(description="The completion, without its prompt.")
    activation: FiniteFloat


class Feature(_Strict):
    """One latent that tells the labels apart, and what it is largest on."""

    latent: NonNegative
    d: Measurement = Field(description="Cohen's d on the training vectors.")
    d_held_out: Measurement
    active_positive: NonNegative = Field(description="Positive vectors on which it is active.")
    active_negative: NonNegative
    positive_rate: Measurement = Field(
        description="Share of positive labels among the vectors on which it is active."
    )
    examples: tuple[Example, ...]
    same_examples_as: tuple[NonNegative, ...] = Field(
        (), description="Latents of this list that are largest on the very same completions."
    )


class SaeTables(_Strict):
    """What was computed of one SAE from labelled vectors."""

    metrics: dict[str, Measurement] = Field(description="By metric name of docs/terms.md.")
    features: tuple[Feature, ...] = ()
    verdicts: dict[str, str] = Field(
        default_factory=dict, description="By question, such as `stability`: verdict and number."
    )


class Contrast(_Strict):
    """Two SAEs of one layer on the same held-out vectors: second minus first."""

    kind: Literal["condition", "architecture", "variant"]
    first: str
    second: str
    differs_in_l0: bool = Field(
        description="L0 differs by over 10%, so explained variances are not at equal sparsity."
    )
    differences: dict[str, Measurement]


class SteeringPoint(_Strict):
    """What was generated at one strength."""

    alpha: FiniteFloat
    n: NonNegative
    labels: dict[str, NonNegative] = Field(description="Completions by label, `empty` included.")
    positive_rate: Measurement = Field(description="Positive among positive and negative ones.")


class SteeringTable(_Strict):
    """Generation with the labels' direction, as the SAE decodes it, added at its hook."""

    sae_id: str
    scale: Measurement = Field(description="Length of what alpha = 1 adds, in activation units.")
    cosine_with_mean_difference: Measurement
    trend: Measurement = Field(description="Whether the rate rises or falls with alpha.")
    random_trend: Measurement = Field(
        description="The same along a random direction of equal length: what any direction does."
    )
    points: tuple[SteeringPoint, ...]


class Tables(_Strict):
    """The section `tables`."""

    inputs: Digests = Field(
        description="SHA-256 of weights, configs and data, and of the manifest's `measure`."
    )
    environment: dict[str, str]
    labels: dict[str, NonNegative] = Field(description="Labelled completions, by label.")
    n_groups: NonNegative = Field(description="Scenarios, which folds keep whole.")
    layers: dict[str, dict[str, Measurement]] = Field(
        description="By layer: probes on the raw activations."
    )
    peak_layer: str | None = Field(None, description="Where the raw probe is best.")
    peak: Measurement | None = Field(
        None, description="Its AUROC, against the best of the same layers under permuted labels."
    )
    saes: dict[str, SaeTables]
    contrasts: tuple[Contrast, ...] = ()
    steering: tuple[SteeringTable, ...] = ()


class RegimeVerdict(_Strict):
    """What is to be expected in one setting, and the number that decided it."""

    regime: str = Field(description="A precision's label, or a setting in words.")
    verdict: Literal[
        "works", "works with other latents", "retrain", "cannot be used", "not measured"
    ]
    decided_by: str | None
    value: FiniteFloat | None
    limit: FiniteFloat | None
    is_sure: bool = Field(description="Whether both ends of the intervals give the same verdict.")
    sentence: str


class LoadedPrecision(_Strict):
    """The base model as it was loaded at one precision, or why it was not."""

    weights: str
    compute: str
    refused: str | None = Field(None, description="Why nothing was measured at it.")
    metrics: dict[str, Measurement] = Field(
        default_factory=dict, description="Size of the weights, and range of the activations."
    )


class Shift(_Strict):
    """One SAE at one precision, against the precision that it was trained at."""

    metrics: dict[str, Measurement]
    verdict: RegimeVerdict


class ClaimedSizeFinding(_Strict):
    """A size that the manifest claims, held against the loaded model."""

    precision: str
    holds: bool
    sentence: str


class TrainedAt(_Strict):
    """An SAE that was trained again at one precision, tested at another."""

    trained_at: str
    tested_at: str
    metrics: dict[str, Measurement]


class Portability(_Strict):
    """The section `portability`."""

    inputs: Digests = Field(
        description="SHA-256 of weights, configs and data, and of the manifest's `portability`."
    )
    environment: dict[str, str]
    trained_at: str = Field(description="Label of the precision that all others are held against.")
    precisions: dict[str, LoadedPrecision]
    saes: dict[str, dict[str, Shift]] = Field(description="By SAE, then by precision.")
    elsewhere: tuple[RegimeVerdict, ...] = Field(
        (), description="Settings that no run on one machine with one base model can settle."
    )
    claimed: tuple[ClaimedSizeFinding, ...] = ()
    retrained: dict[str, tuple[TrainedAt, ...]] = Field(
        default_factory=dict, description="By SAE: trained and tested at every precision."
    )


class Report(_Strict):
    """The whole file."""

    format: Literal["sae-release.report/2", "sae-release.report/3"] = FORMAT
    tool_version: str
    repo_id: str | None
    manifest_digest: str | None
    evidence_digest: str | None = Field(
        None, description="Digest of the manifest without its prose; equal: nothing to ask anew."
    )
    checks: Checks | None = None
    measurements: Measurements | None = None
    tables: Tables | None = None
    portability: Portability | None = None

    @field_validator("format")
    @classmethod
    def _of_this_format(cls, _: str) -> Literal["sae-release.report/3"]:
        """A report of format 2 is one of format 3 without distributions, and is written so."""
        return FORMAT

    def write(self, path: Path) -> None:
        """Write the report as indented JSON with a final newline."""
        write_atomically(path, (self.model_dump_json(indent=2) + "\n").encode("utf-8"))


class UnreadableReport(ReleaseError):
    """A report.json that is missing, damaged or of another format."""

    exit_code = 1


def read_report(path: Path) -> Report:
    """Read a report.

    Raises:
        UnreadableReport: it is missing, not JSON, or not of this format.
    """
    try:
        return Report.model_validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise UnreadableReport(
            f"cannot be read: {error.strerror or error}",
            where=str(path),
            expected="the report that `release validate` writes",
            next_step="release validate MANIFEST",
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise UnreadableReport(
            f"is damaged at {'.'.join(map(str, first['loc'])) or 'its start'}: {first['msg']}",
            where=str(path),
            expected=f"the format {FORMAT}",
            next_step="delete it and run `release validate MANIFEST` again",
        ) from error


def former_report(path: Path) -> Report | None:
    """The report that is there, whose sections a stage leaves as they are but for its own.

    None where there is none, and where it is damaged or of an older format: it is then made anew.
    """
    if not path.exists():
        return None
    try:
        return read_report(path)
    except UnreadableReport:
        return None
