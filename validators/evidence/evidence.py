"""What the activations that SAEs are judged on have in common, wherever they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from manifests.errors import ReleaseError
from validators.base_models.base_model import BaseModel
from validators.evidence.activations import CapturedActivations, Vectors
from validators.places.place import Place

# A first token's residual was measured at 24,000 beside a mean of 145; ordinary ones differ by
# less than 3.
OUTLIER_NORM = 10.0


class NoEvidence(ReleaseError):
    """There are no activations to judge by: no base model, no data, or nowhere to read."""

    exit_code = 3


class JudgedSae(Protocol):
    """What evidence has to know of an SAE."""

    @property
    def sae_id(self) -> str:
        """The folder's name."""

    @property
    def condition(self) -> str | None:
        """The training condition that the claim names; None without a claim."""

    @property
    def hook_metadata(self) -> Mapping[str, Any]:
        """The metadata of cfg.json; empty where there is none."""


@dataclass(frozen=True)
class Sample:
    """Vectors of one place.

    Attributes:
        vectors: [n, d_in], without those of outlying norm.
        groups: [n], which vectors belong together (a document, a scenario): the unit that a
            bootstrap draws.
        outliers: [m, d_in], vectors whose norm is above `OUTLIER_NORM` times the median.
    """

    vectors: Vectors
    groups: NDArray[np.int64]
    outliers: Vectors


@dataclass(frozen=True)
class TokenContext:
    """One sequence for the base model.

    Attributes:
        input_ids: its tokens.
        n_prefix: tokens at the start whose prediction is not judged, such as a prompt; at least 1.
        group: which contexts belong together.
    """

    input_ids: tuple[int, ...]
    n_prefix: int
    group: int


class Evidence(ABC):
    """Activations of all places that the SAEs name, captured once for the whole repository.

    A failure is kept: every check that asks again gets the same answer without a new try.
    """

    # Whether it is known on which of the vectors the SAEs were trained.
    knows_training: bool

    def __init__(self, saes: Iterable[JudgedSae]) -> None:
        self.saes = tuple(saes)
        self._failure: NoEvidence | None = None

    @property
    @abstractmethod
    def description(self) -> str:
        """What the vectors are of, in a few words; only after they were captured."""

    @property
    @abstractmethod
    def base(self) -> BaseModel:
        """The base model.

        Raises:
            NoEvidence: it cannot be loaded, or saved activations take its place.
        """

    @abstractmethod
    def place_of(self, sae: JudgedSae) -> Place:
        """Where an SAE's config says that it belongs.

        Raises:
            ReleaseError: it does not say, or not so that the model has such a place.
            NoEvidence: the base model cannot be loaded.
        """

    @abstractmethod
    def sample(self, sae: JudgedSae, *, train: bool) -> Sample:
        """The vectors that an SAE is judged on.

        Args:
            sae: whose place, and condition if it has one.
            train: False: held-out vectors. True: those it was trained on where that is known,
                else other vectors of the same origin, on which baselines can be fitted.
        """

    @abstractmethod
    def read_elsewhere(self, places: frozenset[Place]) -> None:
        """Read held-out vectors at further places, for `sample_at`; many places cost one pass."""

    @abstractmethod
    def sample_at(self, place: Place, sae: JudgedSae) -> Sample | None:
        """Held-out vectors of another place, row by row those of `sample(sae, train=False)`.

        None where that place was not or cannot be read. Outliers are those of the SAE's own place.
        """

    @abstractmethod
    def contexts(self, sae: JudgedSae, *, at_most: int) -> tuple[TokenContext, ...]:
        """Held-out sequences for the base model, spread over the groups."""

    @abstractmethod
    def n_vectors(self) -> dict[str, dict[str, int]]:
        """Number of vectors by condition, then by split."""

    @abstractmethod
    def _capture(self) -> CapturedActivations:
        """Read the activations at every place."""

    @property
    def was_captured(self) -> bool:
        """Whether activations were read."""
        return "captured" in self.__dict__

    @cached_property
    def captured(self) -> CapturedActivations:
        """Vectors of every place.

        Raises:
            NoEvidence: the data or the base model cannot be read.
        """
        if self._failure is not None:
            raise self._failure
        try:
            return self._capture()
        except NoEvidence as error:
            self._failure = error
            raise

    @cached_property
    def places(self) -> frozenset[Place]:
        """The places of all SAEs that name one."""
        found = set()
        for sae in self.saes:
            try:
                found.add(self.place_of(sae))
            except NoEvidence:
                raise
            except ReleaseError:
                # H201 asks the same question of the SAE and reports the answer.
                continue
        return frozenset(found)


def without_outliers(vectors: Vectors, groups: NDArray[np.int64]) -> Sample:
    """Split off the vectors whose norm is above `OUTLIER_NORM` times the median norm."""
    is_outlier = outlying(vectors)
    return Sample(vectors[~is_outlier], groups[~is_outlier], vectors[is_outlier])


def outlying(vectors: Vectors) -> NDArray[np.bool_]:
    """[n] whether a vector's norm is above `OUTLIER_NORM` times the median norm."""
    if len(vectors) == 0:
        return np.zeros(0, dtype=np.bool_)
    norms = np.linalg.norm(vectors, axis=1)
    return np.asarray(norms > OUTLIER_NORM * np.median(norms))


def group_ids(names: Iterable[str]) -> NDArray[np.int64]:
    """Numbers for names, counted in the order in which they first occur."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def as_no_evidence(error: ReleaseError) -> NoEvidence:
    """Say that there is no evidence, for the reason that another error gives."""
    if isinstance(error, NoEvidence):
        return error
    what = f"{error.where}: {error.what}" if error.where else error.what
    return NoEvidence(what, expected=error.expected, next_step=error.next_step)
