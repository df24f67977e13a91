"""The activations that SAEs are judged on, captured once for the whole repository."""

from __future__ import annotations

from functools import cached_property

from manifests.completions import Completion, Split, for_condition, load_split
from manifests.errors import ReleaseError
from manifests.progress import Progress
from validators.activations import CapturedActivations, Vectors, capture_activations
from validators.base_model import BaseModel, load_base_model
from validators.claim import Claim


class NoEvidence(ReleaseError):
    """There are no activations to judge by: no manifest, no data, or no base model."""

    exit_code = 3


class Evidence:
    """Base model, completions and activations; each read when first used, and then kept.

    A failure is kept too: every check that asks again gets the same answer without a new try.
    """

    def __init__(
        self,
        claim: Claim | None,
        hook_names: frozenset[str],
        *,
        base_model: str | None,
        progress: Progress,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            claim: what names the base model and the data.
            hook_names: module paths to read at, as the SAEs' own configs state them.
            base_model: a local folder or Hub id in place of the claim's base model.
            progress: told while the model runs.
        """
        self._claim = claim
        self.hook_names = hook_names
        self._override = base_model
        self._progress = progress
        self._failure: NoEvidence | None = None
        self.base_digest: str | None = None
        self.base_source: str | None = None

    @property
    def was_captured(self) -> bool:
        """Whether activations were read."""
        return "captured" in self.__dict__

    @cached_property
    def split(self) -> Split:
        """The completions of the claim's data, training and held-out.

        Raises:
            NoEvidence: there is no claim, or its data is not on this machine or differs.
        """
        if self._claim is None:
            raise NoEvidence(
                "there is no manifest, so it is not known what the SAEs were trained on",
                next_step="name the manifest, or check with `--tier load`",
            )
        if self._claim.loaded is None:
            raise NoEvidence(
                f"the completions ({self._claim.manifest.data.file or 'of no known file'}) are "
                "not published with the repository",
                next_step="name the local manifest, beside which the data lies",
            )
        try:
            return load_split(self._claim.loaded)
        except ReleaseError as error:
            raise _no_evidence(error) from error

    @cached_property
    def captured(self) -> CapturedActivations:
        """One vector of each completion at every hook.

        Raises:
            NoEvidence: the data or the base model cannot be read.
        """
        if self._failure is not None:
            raise self._failure
        try:
            split = self.split
            base = self._load_base_model()
        except NoEvidence as error:
            self._failure = error
            raise
        assert self._claim is not None
        return capture_activations(
            base,
            (*split.train, *split.held_out),
            self.hook_names,
            self._claim.manifest.data.at_hand().pooling,
            self._progress,
        )

    def vectors(self, hook_name: str, condition: str, *, train: bool) -> Vectors:
        """Activations [n, d_in] of one condition's training or held-out completions."""
        return self.captured.of(hook_name, self.rows(condition, train=train))

    def rows(self, condition: str, *, train: bool) -> tuple[Completion, ...]:
        """One condition's training or held-out completions."""
        assert self._claim is not None
        rows = self.split.train if train else self.split.held_out
        return for_condition(rows, self._claim.manifest.data.conditions[condition])

    def n_vectors(self) -> dict[str, dict[str, int]]:
        """Number of vectors by condition, then by split."""
        assert self._claim is not None
        return {
            condition: {
                "train": len(self.rows(condition, train=True)),
                "held_out": len(self.rows(condition, train=False)),
            }
            for condition in sorted(self._claim.manifest.data.conditions)
        }

    def _load_base_model(self) -> BaseModel:
        assert self._claim is not None
        try:
            base = load_base_model(self._claim.manifest.base_model, override=self._override)
        except ReleaseError as error:
            raise _no_evidence(error) from error
        self.base_digest, self.base_source = base.digest, base.source
        return base


def _no_evidence(error: ReleaseError) -> NoEvidence:
    what = f"{error.where}: {error.what}" if error.where else error.what
    return NoEvidence(what, expected=error.expected, next_step=error.next_step)
