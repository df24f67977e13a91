"""Every SAE of a build at every precision that was run, kept by all that it depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from manifests.model import Manifest
from manifests.tool_version import tool_version
from validators.environment import environment
from validators.measuring.kept_results import KeptResults, Result
from validators.portability.precision_run import PrecisionRun
from validators.portability.shifts import Chosen, ShiftMeter, as_entry, chosen_vectors, rows_of
from validators.portability.verdicts import not_measured
from validators.report import Digests, Shift
from validators.subjects import SaeSubject


def shifts_of(
    sae: SaeSubject,
    runs: Mapping[str, PrecisionRun],
    own: str,
    *,
    inputs: Digests,
    kept: KeptResults,
) -> dict[str, Shift]:
    """One SAE at each precision, against its own; computed where it was not kept.

    What an SAE reconstructs it is asked on the vectors of its condition. What labels show it is
    asked on those of both labels, whatever it was trained on.

    Args:
        sae: the SAE.
        runs: by label, the base model at each precision; the own one among them.
        own: label of the precision that the SAE was trained at.
        inputs: SHA-256 by path of the SAE's files and of the data.
        kept: where former results are.
    """
    manifest, reference = sae.claim.manifest, runs[own]
    x = reference.vectors_of(sae)
    condition = manifest.data.conditions[sae.claimed.condition]
    judged = rows_of(reference.held_out, x, frozenset(condition.labels))
    if not judged.any():
        reason = "no held-out vector is of the condition that the SAE was trained on"
        return {
            label: Shift(metrics={}, verdict=as_entry(not_measured(label, reason)))
            for label in runs
        }
    told = rows_of(reference.held_out, x, _labels(manifest))
    both = np.array_equal(judged, told)

    @cache
    def chosen(label: str) -> tuple[Chosen, Chosen]:
        run = runs[label]
        vectors = run.vectors_of(sae)
        first = chosen_vectors(run.held_out, vectors, judged, manifest.measure)
        if both:
            return first, first
        return first, chosen_vectors(run.held_out, vectors, told, manifest.measure)

    train = _train(sae, reference)

    @cache
    def meter() -> ShiftMeter:
        return ShiftMeter(sae, *chosen(own), train, manifest.portability.limits)

    common: dict[str, Any] = {
        "what": "shift",
        "tool": tool_version(),
        "environment": environment(),
        "inputs": inputs,
        "limits": manifest.portability.limits.model_dump(mode="json"),
        "labels": [manifest.measure.positive, manifest.measure.negative],
        "condition": condition.model_dump(mode="json"),
        "reference": [_digest(one) for one in chosen(own)],
        "train": train and _digest(train),
    }
    found = {}
    for label, run in runs.items():

        def make(label: str = label) -> Result:
            shift = meter().at(label, *chosen(label), is_own=label == own)
            return Result(shift.model_dump_json(), {})

        depends_on = {**common, "at": [label, *(_digest(one) for one in chosen(label))]}
        shift = Shift.model_validate_json(kept.get(depends_on, make).text)
        losses = run.losses.get(sae.sae_id, {})
        of_model = {name: losses[name] for name in _OF_MODEL if name in losses}
        # Where nothing was measured there is nothing to hold the model's loss against either.
        found[label] = shift.model_copy(update={"metrics": shift.metrics | of_model})
    return found


_OF_MODEL = ("ce_recovered", "ce_increase", "kl")


def _labels(manifest: Manifest) -> frozenset[str]:
    return frozenset((manifest.measure.positive, manifest.measure.negative))


def _train(sae: SaeSubject, reference: PrecisionRun) -> Chosen | None:
    """Training vectors of both labels; None without labels."""
    if reference.train is None:
        return None
    x, manifest = reference.vectors_of(sae, train=True), sae.claim.manifest
    rows = rows_of(reference.train, x, _labels(manifest))
    train = chosen_vectors(reference.train, x, rows, manifest.measure)
    return train if len(train.y) else None


def _digest(chosen: Chosen) -> str:
    sha256 = hashlib.sha256()
    for array in (chosen.x, chosen.groups, chosen.owners, chosen.y):
        sha256.update(f"{array.dtype} {array.shape} ".encode())
        sha256.update(np.ascontiguousarray(array).view(np.uint8).data)
    return sha256.hexdigest()
