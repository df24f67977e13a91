"""What checks are asked of: the repository, and each SAE in it. Facts are read when first used."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from manifests.errors import MissingExtra
from manifests.matrix import SaeSpec
from manifests.model import Limits
from manifests.progress import Progress
from validators.claim import Claim
from validators.options import DEFAULTS, ValidateOptions
from validators.reading.repository import Repository, UnreadableFile
from validators.reading.safetensors_header import SafetensorsHeader
from validators.saelens.format import TRAINING_ONLY_ARCHITECTURES
from validators.selection import saes_named
from validators.training_record import TrainingRecord, read_training_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from validators.alternatives import Alternatives
    from validators.base_models.model_loss import ModelLossMeter
    from validators.evaluation import Evaluation
    from validators.evidence.evidence import Evidence
    from validators.manual.sae import ManualSae
    from validators.place_alternatives import TriedPlace
    from validators.places.place import Place
    from validators.report import Measurement, Outcome

TRAINING_RECORD = "training.json"
_DEFAULT_LIMITS = Limits.model_validate({})


class RepositorySubject:
    """The repository as a whole, and what it is held against."""

    subject_id = ""

    def __init__(
        self,
        repository: Repository,
        claim: Claim | None,
        *,
        options: ValidateOptions = DEFAULTS,
        progress: Progress,
    ) -> None:
        self.repository = repository
        self.claim = claim
        self.options = options
        # What was found so far; whole by the time that checks are asked last.
        self.outcomes: tuple[Outcome, ...] = ()
        self._progress = progress
        self._neighbours_read = False
        self._loss_meters: dict[str | None, ModelLossMeter] = {}

    @cached_property
    def evidence(self) -> Evidence:
        """The activations that the SAEs are judged on, at the places their configs name."""
        from validators.evidence.choice import choose_evidence

        return choose_evidence(self.saes, self.claim, self.options, self._progress)

    def read_neighbours(self) -> None:
        """Read the neighbours of all places, once for the whole repository."""
        from validators.place_alternatives import read_all_neighbours

        if not self._neighbours_read:
            read_all_neighbours(self)
            self._neighbours_read = True

    def loss_meter(self, sae: SaeSubject) -> ModelLossMeter:
        """What measures the base model's loss on the tokens that an SAE is judged on.

        Raises:
            NoEvidence: there is no base model.
        """
        from validators.base_models.model_loss import MAX_TOKENS, ModelLossMeter

        if sae.condition not in self._loss_meters:
            contexts = self.evidence.contexts(sae, at_most=MAX_TOKENS)
            self._loss_meters[sae.condition] = ModelLossMeter(self.evidence.base, contexts)
        return self._loss_meters[sae.condition]

    @cached_property
    def sae_folders(self) -> tuple[str, ...]:
        """Folders that hold an SAE's config or weights; `.` for the repository's root."""
        folders = {
            path.rpartition("/")[0] or "."
            for path in self.repository.files
            if path.rpartition("/")[2] in (SAE_CONFIG, SAE_WEIGHTS)
        }
        return tuple(sorted(folders))

    @cached_property
    def saes(self) -> tuple[SaeSubject, ...]:
        """Every SAE that the claim names, in its order, then other folders; or those asked for.

        Raises:
            UsageError: `only` fits none of them.
        """
        named = self.claim.saes if self.claim else {}
        extra = [folder for folder in self.sae_folders if folder not in named]
        sae_ids = saes_named((*named, *extra), self.options.only)
        return tuple(SaeSubject(self, sae_id) for sae_id in sae_ids)

    @cached_property
    def repeated_weights(self) -> tuple[tuple[str, ...], ...]:
        """Weight files of the same bytes, each group sorted; only where that is cheap to know."""
        repository = self.repository
        by_size: dict[int, list[str]] = {}
        for sae in self.saes:
            path = sae.path_of(SAE_WEIGHTS)
            if path in repository.files:
                by_size.setdefault(repository.files[path], []).append(path)
        by_digest: dict[str, list[str]] = {}
        for paths in by_size.values():
            for path in paths if len(paths) > 1 else ():
                if repository.is_local or repository.sha256_is_cheap(path):
                    by_digest.setdefault(repository.sha256(path), []).append(path)
        return tuple(tuple(sorted(paths)) for paths in by_digest.values() if len(paths) > 1)

    @cached_property
    def training(self) -> TrainingRecord:
        """How the weights were made.

        Raises:
            ReleaseError: training.json is missing or damaged.
        """
        return read_training_record(self.repository.fetch(TRAINING_RECORD))

    @property
    def has_training_record(self) -> bool:
        """Whether the repository says how its weights were made."""
        return TRAINING_RECORD in self.repository.files


class SaeSubject:
    """One SAE: its folder, config, header, weights, and what it does on activations."""

    def __init__(self, parent: RepositorySubject, sae_id: str) -> None:
        self.parent = parent
        self.sae_id = sae_id

    @property
    def subject_id(self) -> str:
        """The SAE's id."""
        return self.sae_id

    @property
    def spec(self) -> SaeSpec | None:
        """What the claim says of it; None when it names no such SAE."""
        return self.parent.claim.saes.get(self.sae_id) if self.parent.claim else None

    @property
    def condition(self) -> str | None:
        """The training condition that the claim names; None without a claim."""
        return self.spec.condition if self.spec else None

    @property
    def limits(self) -> Limits:
        """What the numbers are held against: the claim's limits, or those that all start with."""
        return self.parent.claim.manifest.limits if self.parent.claim else _DEFAULT_LIMITS

    @property
    def claim(self) -> Claim:
        """The claim; only for checks that need a manifest."""
        assert self.parent.claim is not None
        return self.parent.claim

    @property
    def claimed(self) -> SaeSpec:
        """The claim's description; only for checks that come after F003."""
        assert self.spec is not None
        return self.spec

    def path_of(self, file: str) -> str:
        """path_in_repo of a file in the SAE's folder."""
        return file if self.sae_id == "." else f"{self.sae_id}/{file}"

    @cached_property
    def cfg(self) -> dict[str, Any]:
        """cfg.json as it stands.

        Raises:
            UnreadableFile: it is not a JSON object.
        """
        path = self.path_of(SAE_CONFIG)
        cfg = self.parent.repository.read_json(path)
        if not isinstance(cfg, dict):
            raise UnreadableFile(
                f"holds a {type(cfg).__name__}", where=path, expected="a JSON object"
            )
        return cfg

    @property
    def architecture(self) -> str | None:
        """What cfg.json calls it; None where that cannot be read."""
        try:
            architecture = self.cfg.get("architecture")
        except UnreadableFile:
            return None
        return architecture if isinstance(architecture, str) else None

    @property
    def metadata(self) -> dict[str, Any]:
        """The nested metadata of cfg.json; only for checks that come after C002."""
        metadata = self.cfg["metadata"]
        assert isinstance(metadata, dict)
        return metadata

    @property
    def hook_metadata(self) -> Mapping[str, Any]:
        """The nested metadata of cfg.json; empty where it cannot be read or there is none."""
        try:
            metadata = self.cfg.get("metadata")
        except UnreadableFile:
            return {}
        return metadata if isinstance(metadata, dict) else {}

    @property
    def trained_only_as(self) -> str | None:
        """The architecture of its training that is saved as another one; None for all others.

        By the claim, else by the metadata, as SAELens writes it.
        """
        claimed = self.spec.architecture if self.spec else None
        named = (claimed, self.hook_metadata.get("training_architecture"))
        return next((name for name in named if name in TRAINING_ONLY_ARCHITECTURES), None)

    @property
    def place(self) -> Place:
        """Where the SAE belongs in the base model.

        Raises:
            ReleaseError: its config does not say, or names no place of the model.
        """
        return self.parent.evidence.place_of(self)

    @cached_property
    def header(self) -> SafetensorsHeader:
        """Names, shapes and dtypes of the weights."""
        return self.parent.repository.read_header(self.path_of(SAE_WEIGHTS))

    @cached_property
    def tensors(self) -> dict[str, NDArray[Any]]:
        """The weights as stored; bfloat16 and 8-bit floats as float32.

        Raises:
            ReleaseError: the file is not what its header says, or has a dtype without a reading.
        """
        from validators.reading.tensor_reader import read_tensors

        path = self.parent.repository.fetch(self.path_of(SAE_WEIGHTS))
        return read_tensors(path, self.header)

    @cached_property
    def manual(self) -> ManualSae:
        """The SAE by our own arithmetic."""
        from validators.manual.sae import manual_sae

        return manual_sae(self.cfg, self.tensors)

    @cached_property
    def saelens(self) -> Any:
        """The SAE as SAELens loads it, in float32, from the folder on the local disk.

        Raises:
            MissingExtra: sae_lens is not installed.
        """
        need_package("sae_lens", needed_for="loading as a user of SAELens does")
        from sae_lens import SAE

        with warnings.catch_warnings():
            # L104 and L110 report what SAELens warns of; here it would only stand on the screen.
            warnings.simplefilter("ignore")
            return SAE.load_from_disk(self._local_folder(), device="cpu", dtype="float32")

    def _local_folder(self) -> Path:
        config = self.parent.repository.fetch(self.path_of(SAE_CONFIG))
        self.parent.repository.fetch(self.path_of(SAE_WEIGHTS))
        return config.parent

    @property
    def threshold_init(self) -> float | None:
        """Threshold of every latent before training, in exported units; None: not recorded.

        Raises:
            ReleaseError: training.json is damaged.
        """
        if not self.parent.has_training_record:
            return None
        trained = self.parent.training.saes.get(self.sae_id)
        return trained.threshold_init if trained else None

    @cached_property
    def evaluation(self) -> Evaluation:
        """What the SAE does on the activations of its place, and its condition if it has one."""
        from validators.evaluation import evaluate

        return evaluate(self)

    @cached_property
    def alternatives(self) -> Alternatives:
        """The SAE's weights under other settings than the declared ones."""
        from validators.alternatives import try_alternatives

        return try_alternatives(self)

    @cached_property
    def other_places(self) -> tuple[TriedPlace, ...]:
        """The SAE at the places with which its own could have been confused."""
        from validators.place_alternatives import try_places

        self.parent.read_neighbours()
        return try_places(self)

    @cached_property
    def loss_measurements(self) -> dict[str, Measurement]:
        """What the base model loses when the SAE's reconstruction takes its activations' place."""
        from validators.loss_measurements import measure_loss

        return measure_loss(self)

    @property
    def measurements(self) -> dict[str, Measurement]:
        """Every metric that was measured so far."""
        of_loss: dict[str, Measurement] = self.__dict__.get("loss_measurements", {})
        return {**self.evaluation.measurements, **of_loss}

    @property
    def was_evaluated(self) -> bool:
        """Whether the SAE was run on activations, and did not fail to run."""
        return "evaluation" in self.__dict__

    def release_memory(self) -> None:
        """Let go of weights and modules; the evaluation's numbers stay."""
        for name in ("tensors", "manual", "saelens"):
            self.__dict__.pop(name, None)


def need_package(package: str, *, needed_for: str) -> None:
    """Make sure that a package of the extra `measure` is there.

    Raises:
        MissingExtra: it is not installed.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingExtra(needed_for=needed_for, package=package, extra="measure")
