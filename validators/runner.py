"""Asking the checks: in the order of their prerequisites, one SAE in memory at a time."""

from __future__ import annotations

import traceback
from collections.abc import Iterable

from manifests.errors import MissingExtra, ReleaseError
from manifests.progress import Progress
from validators.acceptance import acceptance_of
from validators.check import Check, Passed, Problem, Skipped, Verdict
from validators.report import Acceptance, Outcome, OutcomeKind
from validators.subjects import RepositorySubject, SaeSubject

_BY_SEVERITY: dict[str, OutcomeKind] = {"fail": "failed", "warn": "warned", "note": "noted"}
_GOOD_ENOUGH = ("passed", "warned", "noted")


def run_checks(
    subject: RepositorySubject, checks: tuple[Check, ...], progress: Progress
) -> tuple[Outcome, ...]:
    """Ask every check of what it applies to.

    Args:
        subject: the repository.
        checks: in an order in which each comes after the checks it requires.
        progress: counts SAEs.

    Returns:
        Outcomes of the repository, then of each SAE; within each sorted by code.

    Raises:
        HubUnavailable: the Hub stopped answering; nothing can be said about the repository.
    """
    done: dict[str, Outcome] = {}
    of_repository = [check for check in checks if check.subject == "repository"]
    _ask_all(subject, (check for check in of_repository if not check.asked_last), done)
    found: list[Outcome] = []
    of_saes = [check for check in checks if check.subject == "sae"]
    with progress.task("checking SAEs", total=len(subject.saes)) as task:
        for sae in subject.saes:
            of_this = dict(done)
            _ask_all(sae, of_saes, of_this)
            sae.release_memory()
            task.advance()
            found += [of_this[code] for code in sorted(of_this.keys() - done.keys())]
    subject.outcomes = (*done.values(), *found)
    _ask_all(subject, (check for check in of_repository if check.asked_last), done)
    return (*sorted(done.values(), key=lambda outcome: outcome.code), *found)


def _ask_all(
    subject: RepositorySubject | SaeSubject, checks: Iterable[Check], done: dict[str, Outcome]
) -> None:
    """Add the outcome of each check to `done`, which holds what was asked before."""
    repository = subject if isinstance(subject, RepositorySubject) else subject.parent
    for check in checks:
        if check.needs_manifest and repository.claim is None:
            continue
        if isinstance(subject, SaeSubject) and not check.applies_to(subject.architecture):
            continue
        missing = _unmet(check, done)
        verdict = missing if missing is not None else None
        done[check.code] = _outcome(check, subject, verdict)


def _unmet(check: Check, done: dict[str, Outcome]) -> Skipped | None:
    """Why a check makes no sense here; None when all it requires is met.

    A required check that does not apply (no manifest, another architecture) is met. What comes
    after an accepted failure was accepted with it, so leaving that out is no gap.
    """
    for code in sorted(check.requires):
        before = done.get(code)
        if before is None or before.outcome in _GOOD_ENOUGH:
            continue
        if before.outcome == "skipped":
            return Skipped(before.found, before.next_step, required=before.required)
        if before.outcome == "accepted":
            return Skipped(f"{code} accepted: {before.title}", f"mend {code} first", required=False)
        return Skipped(f"{code} {before.outcome}: {before.title}", f"mend {code} first")
    return None


def _outcome(
    check: Check, subject: RepositorySubject | SaeSubject, verdict: Verdict | None
) -> Outcome:
    kind: OutcomeKind | None = None
    try:
        verdict = verdict if verdict is not None else check.ask(subject)
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
    kind = kind or _kind(check, verdict)
    acceptance = _acceptance(check, subject) if kind == "failed" else None
    return Outcome(
        code=check.code,
        title=check.title,
        tier=check.tier,
        severity=check.severity,
        outcome="accepted" if acceptance else kind,
        subject=subject.subject_id,
        found=verdict.reason if isinstance(verdict, Skipped) else verdict.found,
        expected=verdict.expected if isinstance(verdict, Problem) else "",
        next_step="" if isinstance(verdict, Passed) else verdict.next_step,
        required=not isinstance(verdict, Skipped) or verdict.required,
        acceptance=acceptance,
    )


def _acceptance(check: Check, subject: RepositorySubject | SaeSubject) -> Acceptance | None:
    """What the manifest says of a failure that it knows; None where it must be mended."""
    repository = subject if isinstance(subject, RepositorySubject) else subject.parent
    if repository.claim is None:
        return None
    entry = acceptance_of(check.code, subject.subject_id, repository.claim.manifest.accept)
    return Acceptance(since=entry.since, why=entry.why) if entry else None


def _kind(check: Check, verdict: Verdict) -> OutcomeKind:
    if isinstance(verdict, Passed):
        return "passed"
    if isinstance(verdict, Skipped):
        return "skipped"
    return _BY_SEVERITY[check.severity]
