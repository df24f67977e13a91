"""Asking the checks: in the order of their prerequisites, one SAE in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from manifests.progress import Progress
from validators.answers import ask, strictly, without_manifest
from validators.blocking import blocked_by, blocked_reason
from validators.check import Check, Skipped
from validators.report import Outcome
from validators.selection import Selection
from validators.subjects import TRAINING_RECORD, RepositorySubject, SaeSubject

_READ_WITHOUT_WEIGHTS = (SAE_CONFIG, SAE_WEIGHTS, TRAINING_RECORD, "README.md")
_GOOD_ENOUGH = ("passed", "warned", "noted")
_BAD = ("failed", "crashed")


def run_checks(
    subject: RepositorySubject, checks: tuple[Check, ...], progress: Progress
) -> tuple[Outcome, ...]:
    """Ask every check of what it applies to, and report those that were selected.

    A check that rests on others is reported as skipped where one of these failed; that one is
    reported with it. Without a manifest, the checks that need one are skipped as not required.

    Args:
        subject: the repository, and the options that say what is reported and how strictly.
        checks: in an order in which each comes after the checks it requires.
        progress: counts SAEs.

    Returns:
        Outcomes of the repository, then of each SAE; within each sorted by code.

    Raises:
        UsageError: `only` fits no SAE.
        HubUnavailable: the Hub stopped answering; nothing can be said about the repository.
    """
    # First of all: a wrong command must not become the finding of whichever check asks first.
    saes = subject.saes
    selection = subject.options.selection
    has_manifest = subject.claim is not None
    asked = selection.to_ask(checks, has_manifest=has_manifest)
    subject.repository.prefetch(_read_without_weights(subject))
    done: dict[str, Outcome] = {}
    of_repository = [check for check in asked if check.subject == "repository"]
    _ask_all(subject, (check for check in of_repository if not check.asked_last), done)
    found: list[Outcome] = []
    of_saes = [check for check in asked if check.subject == "sae"]
    with progress.task("checking SAEs", total=len(saes)) as task:
        for sae in saes:
            of_this = dict(done)
            _ask_all(sae, of_saes, of_this)
            sae.release_memory()
            task.advance()
            found += [of_this[code] for code in sorted(of_this.keys() - done.keys())]
    subject.outcomes = tuple(strictly(subject, outcome) for outcome in (*done.values(), *found))
    _ask_all(subject, (check for check in of_repository if check.asked_last), done)
    if not has_manifest:
        done |= {check.code: without_manifest(check) for check in checks if check.needs_manifest}
    outcomes = (*sorted(done.values(), key=lambda outcome: outcome.code), *found)
    return tuple(strictly(subject, outcome) for outcome in _reported(selection, outcomes))


def _read_without_weights(subject: RepositorySubject) -> list[str]:
    """What the static tier reads, whatever is selected: asked for together, not one by one."""
    files = subject.repository.files
    return [path for path in files if path.rpartition("/")[2] in _READ_WITHOUT_WEIGHTS]


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
        unmet = _unmet(check, done, repository.options.selection)
        done[check.code] = ask(check, subject, unmet)


def _unmet(check: Check, done: dict[str, Outcome], selection: Selection) -> Skipped | None:
    """Why a check makes no sense here; None when all it requires is met.

    A required check that does not apply (no manifest, another architecture) is met. What comes
    after an accepted or an ignored failure was accepted or ignored with it, so leaving that out is
    no gap.
    """
    reasons = []
    for code in sorted(check.requires):
        before = done.get(code)
        if before is None or before.outcome in _GOOD_ENOUGH:
            continue
        ignored = selection.ignores(code)
        if before.outcome == "skipped":
            required = before.required and not ignored
            reasons.append(Skipped(before.found, before.next_step, required))
            continue
        kind = "ignored" if ignored else before.outcome
        reason = blocked_reason(code, before.title, kind)
        required = kind not in ("accepted", "ignored")
        reasons.append(Skipped(reason, f"mend what {code} reports first", required))
    # One gap is enough to make it a gap.
    return next((reason for reason in reasons if reason.required), reasons[0] if reasons else None)


def _reported(selection: Selection, outcomes: tuple[Outcome, ...]) -> Iterator[Outcome]:
    """What was selected, and the failures that kept selected checks from being asked."""
    causes = {
        (code, subject)
        for outcome in outcomes
        if selection.reports(outcome.code)
        and outcome.required
        and (code := blocked_by(outcome)) is not None
        for subject in ("", outcome.subject)
    }
    for outcome in outcomes:
        is_cause = (outcome.code, outcome.subject) in causes
        if selection.reports(outcome.code) or (is_cause and outcome.outcome in _BAD):
            yield outcome
