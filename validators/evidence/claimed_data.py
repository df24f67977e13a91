"""What evidence from a claim's own data has in common, whether completions or documents."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from manifests.completions import Completion
from manifests.errors import ReleaseError
from manifests.load import LoadedManifest
from manifests.progress import Progress
from validators.base_models.access import BaseModelAccess
from validators.base_models.base_model import BaseModel
from validators.claim import Claim
from validators.evidence.activations import CapturedActivations, Vectors
from validators.evidence.evidence import Evidence, JudgedSae, NoEvidence, as_no_evidence
from validators.places.place import Place

Split = TypeVar("Split")


@dataclass(frozen=True)
class Part:
    """The vectors of one part of the data, outlying ones included, the same rows at each place.

    Attributes:
        vectors: [n, width] by place.
        groups: [n] the document or scenario of each.
        owners: [n] which of `rows` each is of; zeros where there are none.
        rows: the completions; none where the data is text.
    """

    vectors: Mapping[Place, Vectors]
    groups: NDArray[np.int64]
    owners: NDArray[np.int64]
    rows: tuple[Completion, ...] = ()

    def of_labels(self, labels: Collection[str]) -> NDArray[np.bool_]:
        """[n] whether a vector's completion has one of the labels; all of them for text."""
        if not self.rows:
            return np.ones(len(self.groups), dtype=np.bool_)
        has = np.array([row.label in labels for row in self.rows], dtype=np.bool_)
        return np.asarray(has[self.owners])


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

    @abstractmethod
    def held_out_part(self) -> Part:
        """Read the held-out data alone, in one pass for all places.

        Raises:
            NoEvidence: the data or the base model cannot be read.
        """

    def columns_of(self, sae: JudgedSae) -> slice:
        """The columns of its place that an SAE reads."""
        return self._access.columns_of(sae)

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
