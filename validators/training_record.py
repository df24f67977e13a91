"""`training.json`: how the weights of a repository were made, and from what.

Written by `release retrain`, read by the checks and the cards. Unknown keys are refused; a number
that does not apply is null.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveFloat,
    ValidationError,
    model_validator,
)

from manifests.base_model import Precision
from manifests.build_folder import write_atomically
from manifests.data import Pooling
from manifests.errors import ReleaseError
from manifests.fields import Identifier, Sha256
from manifests.model import ComputeCapability
from validators.reading.strict_json import JsonProblem, refuse_excess

FORMAT: Literal["sae-release.training/2"] = "sae-release.training/2"
# The study's 348 SAEs take 3 MB.
MAX_BYTES = 16_000_000

NonNegative = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[FiniteFloat, Field(ge=0)]
# Names of versions and devices; null where there is none, such as a driver on a CPU.
Environment = dict[str, str | None]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class TrainedOn(_Strict):
    """The base model whose activations were captured."""

    id: str = Field(description="Hub id, as the manifest states it.")
    digest: str = Field(description="Digest of the weights that were really loaded.")
    source: str = Field(description="Where they came from, without a path of the machine.")
    precision: Precision


class VectorCounts(_Strict):
    """Activation vectors of one condition: one for each completion, or for each token."""

    train: NonNegative
    held_out: NonNegative


class TrainingData(_Strict):
    """What the activations were captured on."""

    file: str | None = Field(
        description="The file's path as the manifest states it; of `--data`, its name. Null: a "
        "data set on the Hub."
    )
    sha256: Sha256 | None = Field(description="Of the file or folder; null where none is stated.")
    dataset: str | None = Field(None, description="The Hub data set, such as `id@revision`.")
    n_vectors: dict[str, VectorCounts] = Field(description="By condition.")
    pooling: Pooling


class PlannedFor(_Strict):
    """The machine that the manifest plans for, and the budget that training kept to."""

    device: Literal["cpu", "cuda"] = Field(description="`hardware.target.device`.")
    memory_gb: PositiveFloat | None = Field(description="`hardware.target.memory_gb`.")
    compute_capability: ComputeCapability | None
    budget_gb: PositiveFloat | None = Field(
        description="10^9 bytes that training was planned for: of `--memory-gb`, else of the "
        "target. Null: what the device had."
    )


class Replacement(_Strict):
    """Something else than what the manifest names."""

    stated: str | None = Field(description="What the manifest names; null: nothing.")
    used: str = Field(description="Its name, without a path of the machine.")
    digest: str = Field(description="Of what was used.")


class Substitution(_Strict):
    """What `--base-model` and `--data` put in the place of what the manifest names.

    The weights are then not the ones that the manifest describes, and a push refuses them.
    """

    base_model: Replacement | None
    data: Replacement | None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.base_model is None and self.data is None:
            raise ValueError("a substitution of nothing is null")
        return self


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
    device: str = Field(description="Where it was really trained, such as `cpu` or `cuda:0`.")
    n_saes_together: Positive = Field(description="SAEs trained as one batch with it, it included.")
    micro_batch: Positive = Field(
        description="Vectors computed at a time; below batch_size, gradients were accumulated."
    )
    seconds: Seconds = Field(
        description="Its share: the time of the SAEs trained together, divided by their number."
    )
    input_scale: FiniteFloat = Field(
        gt=0,
        description="The centred input was divided by this while training; folded into the "
        "exported weights. 1.0: no scaling.",
    )
    final: FinalStep
    loss_curve: tuple[tuple[NonNegative, FiniteFloat, FiniteFloat, FiniteFloat], ...] = Field(
        description="Thinned to about 50 points of (step, loss, l0, explained_variance), each a "
        "mean since the last; of the batches trained on."
    )
    threshold_init: FiniteFloat | None = Field(
        description="JumpReLU: every latent's threshold before training, in the exported units."
    )
    files: dict[str, Sha256] = Field(description="SHA-256 by file name in the SAE's folder.")


class TrainingRecord(_Strict):
    """The whole file."""

    format: Literal["sae-release.training/2"] = FORMAT
    tool_version: str
    manifest_digest: Sha256
    base_model: TrainedOn
    data: TrainingData
    substituted: Substitution | None = Field(
        description="Null: everything is what the manifest names."
    )
    target: PlannedFor
    environment: Environment = Field(
        description="Of the latest run: engine, python, platform, versions of packages, device, "
        "device_name, compute_capability, cuda, driver, threads."
    )
    seconds_total: Seconds = Field(description="Sum over the SAEs, without the capture.")
    saes: dict[Identifier, TrainedSae] = Field(description="By sae_id.")

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
