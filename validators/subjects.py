"""What checks are asked of: the repository, and each SAE in it. Facts are read when first used."""

from __future__ import annotations

import importlib.util
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from manifests.errors import MissingExtra
from manifests.matrix import SaeSpec
from manifests.progress import Progress
from validators.claim import Claim
from validators.repository import Repository, UnreadableFile
from validators.safetensors_header import SafetensorsHeader
from validators.training_record import TrainingRecord, read_training_record

if TYPE_CHECKING:
    from torch import Tensor

    from validators.evaluation import Evaluation
    from validators.evidence import Evidence
    from validators.manual_sae import ManualSae
    from validators.report import Outcome

TRAINING_RECORD = "training.json"


class RepositorySubject:
    """The repository as a whole, and what it is held against."""

    subject_id = ""

    def __init__(
        self,
        repository: Repository,
        claim: Claim | None,
        *,
        base_model: str | None = None,
        progress: Progress,
    ) -> None:
        self.repository = repository
        self.claim = claim
        # What was found so far; whole by the time that checks are asked last.
        self.outcomes: tuple[Outcome, ...] = ()
        self._base_model = base_model
        self._progress = progress

    @cached_property
    def evidence(self) -> Evidence:
        """The activations that the SAEs are judged on, at the places their configs name."""
        from validators.evidence import Evidence

        return Evidence(
            self.claim,
            frozenset(name for sae in self.saes if (name := sae.declared_module) is not None),
            base_model=self._base_model,
            progress=self._progress,
        )

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
        """Every SAE that the claim names, in its order, then every other folder."""
        named = self.claim.saes if self.claim else {}
        extra = [folder for folder in self.sae_folders if folder not in named]
        return tuple(SaeSubject(self, sae_id) for sae_id in (*named, *extra))

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
    def declared_module(self) -> str | None:
        """`metadata.hf_hook_name` as the config states it; None where it states none."""
        try:
            metadata = self.cfg.get("metadata")
        except UnreadableFile:
            return None
        name = metadata.get("hf_hook_name") if isinstance(metadata, dict) else None
        return name if isinstance(name, str) else None

    @cached_property
    def header(self) -> SafetensorsHeader:
        """Names, shapes and dtypes of the weights."""
        return self.parent.repository.read_header(self.path_of(SAE_WEIGHTS))

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """The weights as stored, on the CPU.

        Raises:
            MissingExtra: torch is not installed.
        """
        need_package("torch", needed_for="reading whole weights")
        from safetensors.torch import load_file

        return load_file(self.parent.repository.fetch(self.path_of(SAE_WEIGHTS)))

    @cached_property
    def manual(self) -> ManualSae:
        """The SAE by our own arithmetic."""
        from validators.manual_sae import manual_sae

        return manual_sae(self.cfg, self.tensors)

    @cached_property
    def saelens(self) -> Any:
        """The SAE as SAELens loads it, in float32, from the folder on the local disk.

        Raises:
            MissingExtra: sae_lens is not installed.
        """
        need_package("sae_lens", needed_for="loading as a user of SAELens does")
        from sae_lens import SAE

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
        """What the SAE does on the activations of its condition."""
        from validators.evaluation import evaluate

        return evaluate(self)

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
