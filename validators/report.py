"""`report.json`: what was checked and what was measured, and on which bytes.

Each section carries the digests of the files it looked at. A stage replaces only its own section.
Unknown is not a number: a value that is None has a reason.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from manifests.build_folder import write_atomically
from manifests.errors import ReleaseError

FORMAT: Literal["sae-release.report/1"] = "sae-release.report/1"

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
    reason: str | None = Field(None, description="Why `value` is null.")

    @model_validator(mode="after")
    def _value_or_reason(self) -> Self:
        if (self.value is None) != (self.reason is not None):
            raise ValueError("a measurement has a value, or a reason why it has none")
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


class Report(_Strict):
    """The whole file."""

    format: Literal["sae-release.report/1"] = FORMAT
    tool_version: str
    repo_id: str | None
    manifest_digest: str | None
    evidence_digest: str | None = Field(
        None, description="Digest of the manifest without its prose; equal: nothing to ask anew."
    )
    checks: Checks | None = None
    measurements: Measurements | None = None

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
