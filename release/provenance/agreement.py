"""Whether a statement and the documents beside it say the same of a release.

Each function compares one document and returns its contradictions, each as a sentence; none means
that it agrees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from manifests.digests import json_sha256
from manifests.matrix import SaeSpec
from manifests.model import Manifest
from release.provenance.claims import Statement
from release.provenance.materials import BASE_MODEL, CHECKPOINT_DIGEST, DATA, hub_uri
from release.provenance.model_signature import signed_paths
from release.provenance.statement import HARDWARE
from validators.presenting.printable import one_line
from validators.report import Report
from validators.training_record import TrainingRecord


def with_manifest(statement: Statement, resolved: Any, manifest: Manifest) -> Iterator[str]:
    """`manifest.json`: its digest, repository, base model and data.

    Args:
        statement: of the release.
        resolved: the file's JSON value, which is what the digest is of.
        manifest: the same as a manifest.
    """
    found = json_sha256(resolved)
    if found != statement.manifest_sha256:
        yield f"its digest is {found[:12]}, the statement is of {statement.manifest_sha256[:12]}"
    if manifest.repo_id != statement.repo_id:
        yield f"it is of {manifest.repo_id}, the statement of {_shown(statement.repo_id)}"
    stated = manifest.base_model
    model = statement.dependency(BASE_MODEL)
    if model is None or model.uri != hub_uri(stated.id, stated.revision):
        uri = "none" if model is None else _shown(model.uri)
        yield f"its base model is {hub_uri(stated.id, stated.revision)}, the statement has {uri}"
    data = statement.dependency(DATA)
    sha256 = data.digest.get("sha256") if data else None
    if manifest.data.sha256 is not None and sha256 != manifest.data.sha256:
        yield f"its data is {manifest.data.sha256[:12]}, the statement has {_shown(sha256)[:12]}"


def with_index(statement: Statement, index: Any, saes: tuple[SaeSpec, ...] | None) -> Iterator[str]:
    """`config.json` at the root: repository, base model, and the digests of every SAE.

    Args:
        statement: of the release.
        index: the file's JSON value.
        saes: those of the published manifest; None where it cannot be read.
    """
    if not isinstance(index, Mapping) or not isinstance(index.get("saes"), list):
        yield "it lists no SAEs"
        return
    repo_id = index.get("repo_id")
    if repo_id != statement.repo_id:
        yield f"it is of {_shown(repo_id)}, the statement of {_shown(statement.repo_id)}"
    model = statement.dependency(BASE_MODEL)
    named = index.get("base_model")
    stated = named.get("id") if isinstance(named, Mapping) else None
    if model is None or model.annotations.get("id") != stated:
        yield f"its base model is {_shown(stated)}, which the statement does not name"
    listed: dict[str, Any] = {}
    for entry in index["saes"]:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("sae_id"), str):
            yield "an entry of its SAEs has no id"
            continue
        digests = entry.get("sha256")
        listed[entry["sae_id"]] = digests if isinstance(digests, Mapping) else {}
    yield from _different(
        {f"{sae_id}/{name}": d for sae_id, files in listed.items() for name, d in files.items()},
        statement,
    )
    if saes is not None:
        wanted = {spec.sae_id for spec in saes}
        yield from (f"it lacks the SAE {sae_id}" for sae_id in sorted(wanted - listed.keys()))
        for sae_id in sorted(listed.keys() - wanted):
            yield f"it has the SAE {_shown(sae_id)}, which manifest.json does not name"


def with_report(
    statement: Statement,
    report: Report,
    saes: tuple[SaeSpec, ...] | None,
    *,
    evidence_digest: str | None,
) -> Iterator[str]:
    """`report.json`: it is of this manifest, and checked and measured these very bytes.

    Args:
        statement: of the release.
        report: the file. One of a manifest that was only worded otherwise counts, as for a push.
        saes: those of the published manifest; None where it cannot be read.
        evidence_digest: of the published manifest without its prose; None likewise.
    """
    is_of_its_facts = evidence_digest is not None and report.evidence_digest == evidence_digest
    if report.manifest_digest != statement.manifest_sha256 and not is_of_its_facts:
        yield (
            f"it is of the manifest {_shown(report.manifest_digest)[:12]}, "
            f"the statement of {statement.manifest_sha256[:12]}"
        )
    if report.checks is None:
        yield "it has no checks"
        return
    wanted = {f"{s.sae_id}/{name}" for s in saes or () for name in (SAE_CONFIG, SAE_WEIGHTS)}
    yield from (f"it did not check {name}" for name in sorted(wanted - report.checks.inputs.keys()))
    sections = {
        "checks": report.checks,
        "measurements": report.measurements,
        "tables": report.tables,
        "portability": report.portability,
    }
    for name, section in sections.items():
        if section is not None:
            # Other inputs are no part of an SAE: data, or the training record, whose manifest
            # digest follows the manifest's prose.
            inputs = {path: section.inputs[path] for path in signed_paths(section.inputs)}
            yield from (f"{name}: {problem}" for problem in _different(inputs, statement))


def with_training(statement: Statement, training: TrainingRecord) -> Iterator[str]:
    """`training.json`: it made these files, from what the statement names, with those versions."""
    yield from _different(
        {
            f"{sae_id}/{name}": digest
            for sae_id, trained in training.saes.items()
            for name, digest in trained.files.items()
        },
        statement,
    )
    model = statement.dependency(BASE_MODEL)
    digests = model.digest if model else {}
    if training.base_model.digest not in (digests.get(CHECKPOINT_DIGEST), digests.get("sha256")):
        yield (
            f"its base model has the digest {_shown(training.base_model.digest)[:12]}, the "
            "statement has another one"
        )
    data = statement.dependency(DATA)
    sha256 = data.digest.get("sha256") if data else None
    if training.data.sha256 != sha256:
        trained_on = _shown(training.data.sha256)
        yield f"its data is {trained_on[:12]}, the statement has {_shown(sha256)[:12]}"
    stated = statement.predicate.run.builder.version
    for name, version in sorted(training.environment.items()):
        if name not in (*HARDWARE, "sae-release") and version not in (None, stated.get(name)):
            yield (
                f"it was made with {_shown(name)} {_shown(version)}, "
                f"the statement has {_shown(stated.get(name))}"
            )


def _different(digests: Mapping[str, Any], statement: Statement) -> Iterator[str]:
    for name, digest in sorted(digests.items()):
        stated = statement.files.get(name)
        if stated is None:
            yield f"{_shown(name)} is none of the statement's files"
        elif stated != digest:
            yield f"{name} is {_shown(digest)[:12]} in it, {stated[:12]} in the statement"


def _shown(value: Any) -> str:
    """What a stranger wrote, on one line; `nothing` for what is not there."""
    return "nothing" if value is None else one_line(str(value), 120)
