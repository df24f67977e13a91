"""The base model at one precision: its size, its activations, and its loss with each SAE."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from manifests.base_model import Precision
from manifests.progress import Progress
from validators.base_models.effective_bits import EffectiveBits, effective_bits
from validators.base_models.named_precisions import NamedPrecision
from validators.claim import Claim
from validators.environment import environment
from validators.evidence.activations import Vectors
from validators.evidence.claimed_data import ClaimedData, Part
from validators.evidence.completions import CompletionEvidence
from validators.evidence.evidence import NoEvidence
from validators.measuring.kept_results import KeptResults, Result
from validators.options import ValidateOptions
from validators.reading.repository import Repository
from validators.report import Digests, Measurement
from validators.subjects import RepositorySubject, SaeSubject

# Tells of every single product in int8 that its inputs are cast to fp16.
_CHATTY = "bitsandbytes"


@dataclass(frozen=True)
class PrecisionRun:
    """What was read of the base model at one precision; the model itself is let go.

    Attributes:
        label: the precision's name.
        held_out: vectors at every place.
        train: likewise, where a probe is to be fitted on them; None elsewhere.
        size: of the weights, before anything was run.
        losses: by SAE, the model's loss with its reconstruction in place.
        base_digest: of the checkpoint; the same at every precision.
        base_source: in words where it came from.
        own_columns: by SAE, what takes its vectors out of a part.
    """

    label: str
    held_out: Part
    train: Part | None
    size: EffectiveBits
    losses: dict[str, dict[str, Measurement]]
    base_digest: str
    base_source: str
    own_columns: dict[str, Callable[[Part], Vectors]]

    def vectors_of(self, sae: SaeSubject, *, train: bool = False) -> Vectors:
        """An SAE's vectors [n, d_in] of the held-out part, or of the training part."""
        part = self.train if train else self.held_out
        assert part is not None
        return self.own_columns[sae.sae_id](part)


def run_at(
    named: NamedPrecision,
    repository: Repository,
    claim: Claim,
    *,
    options: ValidateOptions,
    inputs: Digests,
    kept: KeptResults,
    is_reference: bool,
    progress: Progress,
) -> PrecisionRun:
    """Load the base model at a precision and read what there is to read.

    Args:
        named: the precision, which this device can run.
        repository: the SAEs.
        claim: whose base model and data are read.
        options: as of a validation; its `keep_vectors` spares a second pass.
        inputs: SHA-256 by path, on which kept losses depend.
        kept: where losses are kept.
        is_reference: whether the training part is read as well, to fit probes on.
        progress: told how far it is.

    Raises:
        NoEvidence: the base model cannot be loaded, or the data not be read.
    """
    assert named.precision is not None
    subject = RepositorySubject(
        repository, claim_at(claim, named.precision), options=options, progress=progress
    )
    evidence = subject.evidence
    if not isinstance(evidence, ClaimedData):
        raise NoEvidence(
            "there is no data of the manifest to read",
            expected="completions or documents that the manifest names",
            next_step="run it on a manifest, without --text and --activations",
        )
    with quiet_bitsandbytes():
        progress.note(f"portability: the base model in {named.label}")
        base = evidence.base
        size = effective_bits(base.model)
        train = None
        if is_reference and isinstance(evidence, CompletionEvidence):
            train = evidence.training_part()
        held_out = evidence.held_out_part()
        losses: dict[str, dict[str, Measurement]] = {}
        with progress.task(f"loss with each SAE, {named.label}", total=len(subject.saes)) as task:
            for sae in subject.saes:
                depends_on: dict[str, Any] = {
                    "what": "loss",
                    "environment": environment(),
                    "base_model": [base.digest, named.label],
                    "inputs": {p: d for p, d in inputs.items() if _concerns(p, sae.sae_id)},
                }

                def make(sae: Any = sae) -> Result:
                    found = sae.loss_measurements
                    sae.release_memory()
                    text = {name: one.model_dump(mode="json") for name, one in found.items()}
                    return Result(json.dumps(text), {})

                result = kept.get(depends_on, make)
                losses[sae.sae_id] = {
                    name: Measurement(**value) for name, value in json.loads(result.text).items()
                }
                task.advance()
        columns = {sae.sae_id: _own_columns(evidence, sae) for sae in subject.saes}
    return PrecisionRun(
        label=named.label,
        held_out=held_out,
        train=train,
        size=size,
        losses=losses,
        base_digest=base.digest,
        base_source=base.source,
        own_columns=columns,
    )


def _own_columns(evidence: ClaimedData, sae: SaeSubject) -> Callable[[Part], Vectors]:
    """What takes an SAE's vectors out of a part, without holding on to the base model."""
    place, columns = evidence.place_of(sae), evidence.columns_of(sae)
    return lambda part: part.vectors[place][:, columns]


def claim_at(claim: Claim, precision: Precision) -> Claim:
    """The same claim about a base model that is run at another precision."""
    base_model = claim.manifest.base_model.model_copy(update={"precision": precision})
    manifest = claim.manifest.model_copy(update={"base_model": base_model})
    loaded = claim.loaded and dataclasses.replace(claim.loaded, manifest=manifest)
    return dataclasses.replace(claim, manifest=manifest, loaded=loaded)


@contextmanager
def quiet_bitsandbytes() -> Iterator[None]:
    """Keep the one warning that bitsandbytes repeats for every product from the screen."""
    logger = logging.getLogger(_CHATTY)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _concerns(path: str, sae_id: str) -> bool:
    """Whether a file is one of the SAE's own, or the data."""
    return ":" not in path and path.rpartition("/")[0] in ("", sae_id)
