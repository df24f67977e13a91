"""`training.json`: how the weights of a repository were made, and from what.

Written by `release retrain`, read by the checks and the cards. Unknown keys are refused; a number
that does not apply is null.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from manifests.base_model import Precision
from manifests.build_folder import write_atomically
from manifests.data import Pooling
from manifests.errors import ReleaseError
from manifests.fields import Sha256
from validators.reading.strict_json import JsonProblem, refuse_excess

FORMAT: Literal["sae-release.training/1"] = "sae-release.training/1"
# The study's 348 SAEs take 2 MB.
MAX_BYTES = 16_000_000

NonNegative = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[FiniteFloat, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class TrainedOn(_Strict):
    """The base model whose activations were captured."""

    id: str = Field(description="Hub id, as the manifest states it.")
    digest: str = Field(description="Digest of the weights that were really loaded.")
    source: str = Field(description="Where they came from, without a path of the machine.")
    precision: Precision


class VectorCounts(_Strict):
    """Activation vectors of one condition, one for each completion."""

    train: NonNegative
    held_out: NonNegative


class TrainingData(_Strict):
    """The completions the activations were captured on."""

    file: str = Field(description="Relative to the manifest's folder.")
    sha256: Sha256
    n_vectors: dict[str, VectorCounts] = Field(description="By condition.")
    pooling: Pooling


class FinalStep(_Strict):
    """The trainer's own numbers over the last epoch; not a measurement of the exported SAE."""

    loss: FiniteFloat = Field(description="Mean training loss, in the trainer's scaled units.")
    l0: FiniteFloat = Field(description="Mean number of latents != 0 per training vector.")


class TrainedSae(_Strict):
    """How one SAE was trained, and the files that came out."""

    inputs_digest: Sha256 = Field(
        description="SHA-256 over all that the weights depend on: base model, data, hook, pooling, "
        "condition, recipe, seed, trainer version. Equal digests need no retraining."
    )
    seed: NonNegative = Field(description="Derived from recipe.seed and the SAE's id.")
    n_train: Positive = Field(description="Training vectors.")
    epochs: Positive
    steps: Positive
    batch_size: Positive
    learning_rate: FiniteFloat
    seconds: Seconds
    input_scale: FiniteFloat = Field(
        gt=0,
        description="The centred input was divided by this while training; folded into the "
        "exported weights. 1.0: no scaling.",
    )
    final: FinalStep
    loss_curve: tuple[tuple[NonNegative, FiniteFloat, FiniteFloat], ...] = Field(
        description="Thinned to about 50 points of (step, loss, l0), each a mean since the last."
    )
    threshold_init: FiniteFloat | None = Field(
        description="JumpReLU: every latent's threshold before training, in the exported units."
    )
    files: dict[str, Sha256] = Field(description="SHA-256 by file name in the SAE's folder.")


class TrainingRecord(_Strict):
    """The whole file."""

    format: Literal["sae-release.training/1"] = FORMAT
    tool_version: str
    manifest_digest: Sha256
    base_model: TrainedOn
    data: TrainingData
    environment: dict[str, str] = Field(
        description="python, platform, torch, transformers, device, device_name, threads."
    )
    seconds_total: Seconds = Field(description="Sum over the SAEs, without the capture.")
    saes: dict[str, TrainedSae] = Field(description="By sae_id.")

    def content(self) -> bytes:
        """The bytes of the file: indented JSON with a final newline."""
        return (self.model_dump_json(indent=2) + "\n").encode("utf-8")

    def write(self, path: Path) -> None:
        """Write the file atomically."""
        write_atomically(path, self.content())


class UnreadableTrainingRecord(ReleaseError):
    """A training.json that is missing, damaged or of another format."""

    exit_code = 1


def read_training_record(path: Path) -> TrainingRecord:
    """Read a training record.

    Raises:
        UnreadableTrainingRecord: it is missing, not JSON, or not of this format.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableTrainingRecord(
            f"cannot be read: {error.strerror or error}",
            where=str(path),
            expected="the record that `release retrain` writes",
            next_step="release retrain MANIFEST",
        ) from error
    try:
        if len(content) > MAX_BYTES:
            raise JsonProblem(f"is longer than {MAX_BYTES} bytes")
        refuse_excess(content.decode("utf-8", "replace"))
    except JsonProblem as error:
        raise UnreadableTrainingRecord(
            error.what,
            where=str(path),
            expected="the record that `release retrain` writes",
            next_step="delete it and run `release retrain MANIFEST` again",
        ) from error
    try:
        return TrainingRecord.model_validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"])) or "its start"
        raise UnreadableTrainingRecord(
            f"is damaged at {key:.200}: {first['msg']:.300}",
            where=str(path),
            expected=f"the format {FORMAT}",
            next_step="delete it and run `release retrain MANIFEST` again",
        ) from error
