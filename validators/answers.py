"""From a check to its outcome: what it answers, what that amounts to, what of it is accepted."""

from __future__ import annotations

import traceback
from dataclasses import replace
from pathlib import Path

from manifests.errors import MissingExtra, ReleaseError
from validators.acceptance import acceptance_of
from validators.check import Check, Passed, Problem, Skipped, Verdict
from validators.presenting.placeless import with_name_for
from validators.report import Acceptance, Outcome, OutcomeKind, Severity
from validators.subjects import RepositorySubject, SaeSubject

NO_MANIFEST = "there is no manifest to hold the repository against"
_NAME_A_MANIFEST = "release import owner/name writes one; then validate the manifest"
_BY_SEVERITY: dict[str, OutcomeKind] = {"fail": "failed", "warn": "warned", "note": "noted"}


def strictly(subject: RepositorySubject, outcome: Outcome) -> Outcome:
    """A warning as a failure where that was asked for; one that is accepted is still accepted."""
    if not subject.options.strict or outcome.outcome != "warned":
        return outcome
    return _held_against_acceptances(subject, outcome.model_copy(update={"outcome": "failed"}))


def without_manifest(check: Check) -> Outcome:
    """The outcome of a check that compares with a manifest, where there is none: no gap."""
    return _answered(check, "", "skipped", Skipped(NO_MANIFEST, _NAME_A_MANIFEST, required=False))


def ask(check: Check, subject: RepositorySubject | SaeSubject, unmet: Skipped | None) -> Outcome:
    """Ask a check of a subject, unless something that it requires is unmet.

    Raises:
        HubUnavailable: the Hub stopped answering.
    """
    kind: OutcomeKind | None = None
    verdict: Verdict
    try:
        verdict = unmet if unmet is not None else check.ask(subject)
    except MissingExtra as error:
        verdict = Skipped(error.what, error.next_step or "")
    except ReleaseError as error:
        if error.exit_code == 4:
            raise
        verdict = Problem(
            f"{error.where}: {error.what}" if error.where else error.what,
            error.expected or "",
            error.next_step or f"`release explain {check.code}` tells how to mend it",
        )
    except Exception:  # noqa: BLE001 - a check that crashes has failed, and says how
        kind = "crashed"
        verdict = Problem(
            traceback.format_exc().strip(),
            "a check that ends with an answer",
            "report the traceback as a bug of sae-release, with the files that caused it",
        )
    kind = kind or _kind(_severity(check, verdict), verdict)
    repository = subject if isinstance(subject, RepositorySubject) else subject.parent
    outcome = _answered(check, subject.subject_id, kind, _without_folder(verdict, repository))
    return _held_against_acceptances(repository, outcome) if kind == "failed" else outcome


def _answered(check: Check, subject_id: str, kind: OutcomeKind, verdict: Verdict) -> Outcome:
    return Outcome(
        code=check.code,
        title=check.title,
        tier=check.tier,
        severity=_severity(check, verdict),
        outcome=kind,
        subject=subject_id,
        found=verdict.reason if isinstance(verdict, Skipped) else verdict.found,
        expected=verdict.expected if isinstance(verdict, Problem) else "",
        next_step="" if isinstance(verdict, Passed) else verdict.next_step,
        required=not isinstance(verdict, Skipped) or verdict.required,
    )


def _held_against_acceptances(subject: RepositorySubject, failure: Outcome) -> Outcome:
    """A failure as it is, or as accepted where a manifest on this machine says so."""
    if subject.claim is None:
        return failure
    entry = acceptance_of(failure.code, failure.subject, subject.claim.manifest.accept)
    if entry is None:
        return failure
    if subject.claim.loaded is not None:
        acceptance = Acceptance(since=entry.since, why=entry.why)
        return failure.model_copy(update={"outcome": "accepted", "acceptance": acceptance})
    # Whoever publishes the weights must not decide what a reader of them is told.
    said = f"the publisher has accepted this since {entry.since}: {entry.why}"
    return failure.model_copy(update={"found": f"{failure.found}\n{said}"})


def _severity(check: Check, verdict: Verdict) -> Severity:
    own = verdict.severity if isinstance(verdict, Problem) else None
    return own or check.severity


def _kind(severity: Severity, verdict: Verdict) -> OutcomeKind:
    if isinstance(verdict, Passed):
        return "passed"
    if isinstance(verdict, Skipped):
        return "skipped"
    return _BY_SEVERITY[severity]


def _without_folder(verdict: Verdict, subject: RepositorySubject) -> Verdict:
    """The verdict with paths as path_in_repo: where the folder lies is nobody's business."""
    here = Path(subject.repository.location)
    if not here.is_dir():
        return verdict

    def shown(text: str) -> str:
        return with_name_for(text, here, subject.repository.name)

    match verdict:
        case Skipped():
            return replace(verdict, reason=shown(verdict.reason))
        case Problem():
            return replace(verdict, found=shown(verdict.found), expected=shown(verdict.expected))
        case Passed():
            return replace(verdict, found=shown(verdict.found))
