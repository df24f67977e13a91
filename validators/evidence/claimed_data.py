"""What evidence from a claim's own data has in common, whether completions or documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from manifests.errors import ReleaseError
from manifests.load import LoadedManifest
from manifests.progress import Progress
from validators.base_models.access import BaseModelAccess
from validators.base_models.base_model import BaseModel
from validators.claim import Claim
from validators.evidence.activations import CapturedActivations
from validators.evidence.evidence import Evidence, JudgedSae, NoEvidence, as_no_evidence
from validators.places.place import Place

Split = TypeVar("Split")


class ClaimedData(Evidence):
    """Evidence from the data of a claim, whose held-out part training never saw."""

    knows_training = True

    def __init__(
        self,
        saes: tuple[JudgedSae, ...],
        claim: Claim,
        access: BaseModelAccess,
        progress: Progress,
    ) -> None:
        super().__init__(saes)
        self._claim = claim
        self._access = access
        self._progress = progress
        self._elsewhere: dict[Place, CapturedActivations] = {}

    @property
    def base(self) -> BaseModel:
        """The base model of the claim."""
        return self._access.base

    def place_of(self, sae: JudgedSae) -> Place:
        """See `Evidence.place_of`."""
        return self._access.place_of(sae)

    def _loaded_split(self, load: Callable[[LoadedManifest], Split], *, missing: str) -> Split:
        """The data, training and held-out.

        Args:
            load: reads and splits it.
            missing: what is said of data that is not there, with `{}` for the file's name.

        Raises:
            NoEvidence: the data is not on this machine, or differs.
        """
        if self._claim.loaded is None:
            raise NoEvidence(
                missing.format(self._claim.manifest.data.file or "of no known file"),
                next_step="name the local manifest, beside which the data lies, or give a text "
                "with --text FILE",
            )
        try:
            return load(self._claim.loaded)
        except ReleaseError as error:
            raise as_no_evidence(error) from error
