"""The stage `validate`: run the checks on a repository, and keep what they found in a report."""

from __future__ import annotations

from pathlib import Path

from manifests.build_folder import BuildFolder
from manifests.load import LoadedManifest
from manifests.progress import Progress
from manifests.tool_version import tool_version
from validators.claim import local_claim, published_claim
from validators.environment import environment
from validators.evidence.evidence import NoEvidence
from validators.inputs import data_digests, repository_digests
from validators.options import DEFAULTS, ValidateOptions
from validators.reading.local_repository import LocalRepository
from validators.reading.repository import Repository
from validators.registry import TIERS, checks_digest, checks_up_to
from validators.report import (
    Checks,
    Measurements,
    Report,
    Tier,
    former_report,
)
from validators.runner import run_checks
from validators.subjects import RepositorySubject

_EVIDENCE = "evidence"
_BASE_MODEL = "base_model"
_BASE_MODEL_DIGEST = "base_model_digest"
_BASE_MODEL_ASKED = "base_model_asked"


def validate(
    repository: Repository,
    *,
    manifest: LoadedManifest | None,
    tier: Tier,
    options: ValidateOptions = DEFAULTS,
    progress: Progress,
) -> Report:
    """Check a repository, up to a tier.

    Args:
        repository: a folder, or a commit on a Hub.
        manifest: what it is held against; without one, the `manifest.json` inside the repository,
            and without that only what holds of every SAE repository.
        tier: `static` reads headers, `load` whole weights, `activations` runs the base model.
        options: what to judge by, and what to report.
        progress: told how far it is.

    Returns:
        The report. `report.checks.exit_code` says what was decided. The section `measurements`
        is there if activations were read.

    Raises:
        UnreadableFile: the published manifest is damaged.
        HubUnavailable: the Hub stopped answering.
    """
    claim = local_claim(manifest) if manifest else published_claim(repository)
    subject = RepositorySubject(repository, claim, options=options, progress=progress)
    outcomes = run_checks(subject, checks_up_to(tier), progress)
    inputs = repository_digests(subject)
    report_environment = _environment()
    if tier == "activations":
        report_environment[_BASE_MODEL_ASKED] = _asked(options.base_model)
        report_environment |= _evidence_facts(subject)
    return Report(
        tool_version=tool_version(),
        repo_id=claim.manifest.repo_id if claim else _repo_id(repository),
        manifest_digest=claim.manifest.digest() if claim else None,
        evidence_digest=claim.manifest.evidence_digest() if claim else None,
        checks=Checks(
            inputs=inputs,
            tiers=TIERS[: TIERS.index(tier) + 1],
            environment=report_environment,
            outcomes=outcomes,
        ),
        measurements=_measurements(subject, tier, inputs, report_environment),
    )


def validate_build(
    loaded: LoadedManifest,
    build: BuildFolder,
    *,
    tier: Tier = "activations",
    options: ValidateOptions = DEFAULTS,
    progress: Progress,
) -> Report:
    """Check the local build of a manifest and write `report.json` into it.

    With options that leave checks or SAEs out, or take other activations than those of the
    manifest's data, the report is returned and not written: a push must not rest on it.

    Skips itself when the report there is of the same claim, files, data, versions and tier, and
    left nothing open; where only the manifest's prose has changed, its digest is written anew.

    Raises:
        NoSuchRepository: nothing was built yet.
    """
    repository = LocalRepository(build.repository)
    if not options.is_whole:
        progress.note("validate: report.json is left as it is, since not all was asked for")
        return validate(repository, manifest=loaded, tier=tier, options=options, progress=progress)
    subject = RepositorySubject(repository, local_claim(loaded), progress=progress)
    kept = _current_report(build.report_json, loaded, subject, tier, options.base_model)
    if kept is not None and kept.manifest_digest == loaded.digest:
        progress.note("validate: report.json is of these files and this manifest; kept")
        return kept
    if kept is not None:
        # Only prose has changed: what was checked and measured holds of the new wording too.
        report = kept.model_copy(update={"manifest_digest": loaded.digest})
        report.write(build.report_json)
        progress.note("validate: only the manifest's wording has changed; numbers kept")
        return report
    report = validate(repository, manifest=loaded, tier=tier, options=options, progress=progress)
    former = former_report(build.report_json)
    if former is not None:
        others = {"tables": former.tables, "portability": former.portability}
        report = report.model_copy(update=others)
    report.write(build.report_json)
    return report


def _measurements(
    subject: RepositorySubject, tier: Tier, inputs: dict[str, str], environment: dict[str, str]
) -> Measurements | None:
    """The numbers that the checks measured; None where no activations were read."""
    if tier != "activations" or not subject.evidence.was_captured:
        return None
    claim = subject.claim
    data = data_digests(claim.loaded) if claim and claim.loaded else {}
    evaluated = {sae.sae_id: sae for sae in subject.saes if sae.was_evaluated}
    folders = {*evaluated}
    return Measurements(
        inputs={p: d for p, d in inputs.items() if (p.rpartition("/")[0] or ".") in folders} | data,
        environment=environment,
        n_vectors=subject.evidence.n_vectors(),
        saes={sae_id: sae.measurements for sae_id, sae in evaluated.items()},
        distributions={sae_id: sae.evaluation.distributions for sae_id, sae in evaluated.items()},
    )


def _current_report(
    path: Path,
    loaded: LoadedManifest,
    subject: RepositorySubject,
    tier: Tier,
    base_model: str | None,
) -> Report | None:
    """The report that is there, if running the checks again could not say anything else."""
    report = former_report(path)
    if report is None:
        return None
    checks = report.checks
    if (
        checks is None
        or report.tool_version != tool_version()
        or report.evidence_digest != loaded.manifest.evidence_digest()
        or checks.tiers != TIERS[: TIERS.index(tier) + 1]
        or checks.n_gaps
        or checks.count("crashed")
        or subject.repository.refused
        or checks.inputs != repository_digests(subject)
        or {key: checks.environment.get(key) for key in _environment()} != _environment()
    ):
        return None
    if tier != "activations":
        return report
    if checks.environment.get(_BASE_MODEL_ASKED) != _asked(base_model):
        return None
    measured = report.measurements
    data = data_digests(loaded)
    if measured is None or not data or not data.items() <= measured.inputs.items():
        return None
    if measured.distributions.keys() != measured.saes.keys():
        # The format before this one has none, and is otherwise as good.
        return None
    return report


def _environment() -> dict[str, str]:
    """Versions, and which checks there were: another set of them may say something else."""
    return {**environment(), "checks": checks_digest()[:16]}


def _evidence_facts(subject: RepositorySubject) -> dict[str, str]:
    """What the activations are of, and the base model's digest."""
    if not subject.evidence.was_captured:
        return {}
    facts = {_EVIDENCE: subject.evidence.description}
    try:
        base = subject.evidence.base
    except NoEvidence:
        return facts
    return facts | {_BASE_MODEL: base.source, _BASE_MODEL_DIGEST: base.digest}


def _asked(base_model: str | None) -> str:
    """How the base model was named; a folder only by its last part, since reports are published."""
    return "as the manifest states" if base_model is None else Path(base_model).name


def _repo_id(repository: Repository) -> str | None:
    return repository.name if repository.name.count("/") == 1 else None
