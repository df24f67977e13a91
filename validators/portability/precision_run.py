"""The base model at one precision: its size, its activations, and its loss with each SAE."""

from __future__ import annotations

import dataclasses
import gc
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from manifests.progress import Progress
from manifests.tool_version import tool_version
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
from validators.places.place import Place
from validators.portability.requirements import data_facts
from validators.reading.repository import Repository
from validators.report import Digests, Measurement
from validators.subjects import RepositorySubject, SaeSubject


@dataclass(frozen=True)
class MeasuredFiles:
    """SHA-256 by path of what the numbers are about.

    Attributes:
        data: of the manifest's data.
        saes: by SAE, of its config and weights.
    """

    data: Digests
    saes: Mapping[str, Digests]

    def of(self, sae_id: str) -> Digests:
        """Those of one SAE and of the data."""
        return self.data | self.saes[sae_id]


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
    files: MeasuredFiles,
    kept: KeptResults,
    is_reference: bool,
    progress: Progress,
) -> PrecisionRun:
    """Load the base model at a precision and read what there is to read.

    Args:
        named: the precision, which this device can run.
        repository: the SAEs.
        claim: whose base model and data are read.
        options: as of a validation; its `keep_vectors` spares a second pass over completions.
        files: on which kept results depend.
        kept: where losses and the vectors of documents are kept.
        is_reference: whether the training part is read as well, to fit probes on.
        progress: told how far it is.

    Raises:
        NoEvidence: the base model cannot be loaded, or the data not be read.
    """
    found = _read(
        named,
        RepositorySubject(repository, _at(claim, named), options=options, progress=progress),
        files=files,
        kept=kept,
        is_reference=is_reference,
        progress=progress,
    )
    # A subject and its SAEs hold each other, and the base model with them.
    gc.collect()
    if options.device != "cpu":
        import torch

        torch.cuda.empty_cache()
    return found


def _read(
    named: NamedPrecision,
    subject: RepositorySubject,
    *,
    files: MeasuredFiles,
    kept: KeptResults,
    is_reference: bool,
    progress: Progress,
) -> PrecisionRun:
    evidence = subject.evidence
    if not isinstance(evidence, ClaimedData):
        raise NoEvidence(
            "there is no data of the manifest to read",
            expected="completions or documents that the manifest names",
            next_step="run it on a manifest, without --text and --activations",
        )
    progress.note(f"portability: the base model in {named.label}")
    base = evidence.base
    size = effective_bits(base.model)
    assert subject.claim is not None
    common: dict[str, Any] = {
        "tool": tool_version(),
        "environment": environment(),
        "base_model": [base.digest, base.source, named.label, base.model.device.type],
        "data": data_facts(subject.claim.manifest),
    }
    train = None
    if is_reference and isinstance(evidence, CompletionEvidence):
        train = evidence.training_part()
    held_out = _held_out(evidence, common, files, kept)
    losses: dict[str, dict[str, Measurement]] = {}
    with progress.task(f"loss with each SAE, {named.label}", total=len(subject.saes)) as task:
        for sae in subject.saes:
            if sae.spec is not None:
                losses[sae.sae_id] = _loss(sae, common, files.of(sae.sae_id), kept)
            task.advance()
    return PrecisionRun(
        label=named.label,
        held_out=held_out,
        train=train,
        size=size,
        losses=losses,
        base_digest=base.digest,
        base_source=base.source,
        own_columns={
            sae.sae_id: _own_columns(evidence, sae) for sae in subject.saes if sae.spec is not None
        },
    )


def _held_out(
    evidence: ClaimedData,
    common: Mapping[str, Any],
    files: MeasuredFiles,
    kept: KeptResults,
) -> Part:
    """The held-out vectors; those of completions the evidence keeps by itself."""
    if isinstance(evidence, CompletionEvidence):
        return evidence.held_out_part()

    def make() -> Result:
        part = evidence.held_out_part()
        places = [[place.module, place.side] for place in part.vectors]
        arrays = {str(number): own for number, own in enumerate(part.vectors.values())}
        return Result(json.dumps(places), {"groups": part.groups, **arrays})

    depends_on = {
        **common,
        "what": "vectors",
        "places": [[place.module, place.side] for place in sorted(evidence.places)],
        "inputs": files.data,
    }
    found = kept.get(depends_on, make)
    groups = found.arrays["groups"]
    return Part(
        vectors={
            Place(module, side): found.arrays[str(number)]
            for number, (module, side) in enumerate(json.loads(found.text))
        },
        groups=groups,
        owners=np.zeros(len(groups), dtype=np.int64),
    )


def _loss(
    sae: SaeSubject, common: Mapping[str, Any], inputs: Digests, kept: KeptResults
) -> dict[str, Measurement]:
    """The base model's loss with one SAE in it."""

    def make() -> Result:
        found = sae.loss_measurements
        sae.release_memory()
        text = {name: one.model_dump(mode="json") for name, one in found.items()}
        return Result(json.dumps(text), {})

    depends_on = {
        **common,
        "what": "loss",
        "sae": [sae.sae_id, sae.claimed.condition],
        "inputs": inputs,
    }
    kept_text = kept.get(depends_on, make).text
    return {name: Measurement(**value) for name, value in json.loads(kept_text).items()}


def _own_columns(evidence: ClaimedData, sae: SaeSubject) -> Callable[[Part], Vectors]:
    """What takes an SAE's vectors out of a part, without holding on to the base model."""
    place, columns = evidence.place_of(sae), evidence.columns_of(sae)
    return lambda part: part.vectors[place][:, columns]


def _at(claim: Claim, named: NamedPrecision) -> Claim:
    """The same claim about a base model that is run at another precision."""
    base_model = claim.manifest.base_model.model_copy(update={"precision": named.precision})
    manifest = claim.manifest.model_copy(update={"base_model": base_model})
    loaded = claim.loaded and dataclasses.replace(claim.loaded, manifest=manifest)
    return dataclasses.replace(claim, manifest=manifest, loaded=loaded)
