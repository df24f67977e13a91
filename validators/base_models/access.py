"""Which base model a repository's SAEs belong to, loaded when it is first needed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from manifests.errors import ReleaseError
from validators.base_models.base_model import (
    BaseModel,
    load_base_model,
    load_hub_base_model,
    load_named_base_model,
)
from validators.claim import Claim
from validators.evidence.activations import Vectors
from validators.evidence.evidence import JudgedSae, NoEvidence, as_no_evidence
from validators.places.place import Place, columns_of, declared_place


class BaseModelAccess:
    """The base model that the claim names, else the one that the configs name."""

    def __init__(
        self,
        claim: Claim | None,
        saes: Iterable[JudgedSae],
        *,
        override: str | None,
        device: str = "cpu",
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            claim: names the base model, where there is one.
            saes: name it in `metadata.model_name` otherwise.
            override: a local folder or Hub id in place of either.
            device: where torch puts it.
        """
        self._claim = claim
        self._saes = tuple(saes)
        self._override = override
        self._device = device
        self._failure: NoEvidence | None = None

    @property
    def was_loaded(self) -> bool:
        """Whether the base model is in memory."""
        return "base" in self.__dict__

    @cached_property
    def base(self) -> BaseModel:
        """The base model.

        Raises:
            NoEvidence: it is not known, or cannot be loaded.
        """
        if self._failure is not None:
            raise self._failure
        try:
            if self._claim is not None:
                return load_base_model(
                    self._claim.manifest.base_model, override=self._override, device=self._device
                )
            if self._override is not None:
                return load_named_base_model(self._override, device=self._device)
            return load_hub_base_model(self._named(), device=self._device)
        except ReleaseError as error:
            self._failure = as_no_evidence(error)
            raise self._failure from error

    def place_of(self, sae: JudgedSae) -> Place:
        """Where the base model is read for an SAE; see `Evidence.place_of`."""
        return declared_place(sae.hook_metadata, self.base.model)

    def own_columns(self, sae: JudgedSae, vectors: Vectors) -> Vectors:
        """The columns of a place that an SAE reads: one head's, where it names a head."""
        return vectors[:, self.columns_of(sae)]

    def columns_of(self, sae: JudgedSae) -> slice:
        """Which columns of its place an SAE reads: all, or one head's."""
        return columns_of(sae.hook_metadata, self.place_of(sae), self.base.model)

    def _named(self) -> str:
        """The one model that all configs name."""
        named = {sae.hook_metadata.get("model_name") for sae in self._saes}
        names = sorted(name for name in named if isinstance(name, str) and name)
        if len(names) == 1:
            return names[0]
        raise NoEvidence(
            f"the configs name {len(names)} base models: {', '.join(names[:5])}"
            if names
            else "no cfg.json names its base model in metadata.model_name",
            expected="one base model for all SAEs of the repository",
            next_step="give it with --base-model ID_OR_PATH",
        )
