"""What a check is: a question with a stable code, asked of one SAE or of the whole repository.

The docstring of a check's function is its page: what `release explain CODE` prints.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from validators.report import Severity, Tier

if TYPE_CHECKING:
    from validators.subjects import RepositorySubject, SaeSubject

SubjectKind = Literal["repository", "sae"]

FAMILIES = {
    "F": "files",
    "C": "config",
    "H": "hooks",
    "W": "weights",
    "L": "loading",
    "N": "numbers on activations",
    "R": "readme",
    "M": "what the manifest says of results",
    "S": "security",
}


@dataclass(frozen=True)
class Passed:
    """The check is satisfied; `found` may state the number that satisfied it."""

    found: str = ""


@dataclass(frozen=True)
class Problem:
    """What is wrong.

    The check's severity decides what it amounts to, unless `severity` says otherwise for this one:
    the same fact may fail a release that promised more, and be worth a note in a stranger's.
    """

    found: str
    expected: str = ""
    next_step: str = ""
    severity: Severity | None = None


@dataclass(frozen=True)
class Skipped:
    """The question could not be asked.

    `required` is False where there is nothing to ask about, so that skipping it is no gap.
    """

    reason: str
    next_step: str = ""
    required: bool = True


Verdict = Passed | Problem | Skipped


@dataclass(frozen=True)
class Check:
    """One question.

    Attributes:
        code: family letter and number, never reused.
        title: what the check asks, as a statement that is true when it passes.
        tier: what it needs: headers, whole weights, or activations.
        severity: what a problem amounts to.
        subject: what it is asked of.
        requires: codes that must have passed (or warned, or noted) before it makes sense.
        architectures: the architectures it applies to; None: all.
        needs_manifest: it compares with a manifest, and is left out without one.
        asked_last: it is about what the other checks found or measured, and comes after them.
        ask: the function that answers.
        page: why it matters, an example, how to mend it.
    """

    code: str
    title: str
    tier: Tier
    severity: Severity
    subject: SubjectKind
    requires: tuple[str, ...]
    architectures: tuple[str, ...] | None
    needs_manifest: bool
    asked_last: bool
    ask: Callable[[Any], Verdict]
    page: str

    def applies_to(self, architecture: str | None) -> bool:
        """Whether the check is asked of an SAE of this architecture."""
        return self.architectures is None or architecture in self.architectures


def sae_check(
    code: str,
    title: str,
    *,
    tier: Tier,
    severity: Severity = "fail",
    requires: tuple[str, ...] = (),
    architectures: tuple[str, ...] | None = None,
    needs_manifest: bool = False,
) -> Callable[[Callable[[SaeSubject], Verdict]], Check]:
    """Make a function with a page into a check that is asked of every SAE."""

    def declare(ask: Callable[[SaeSubject], Verdict]) -> Check:
        return Check(
            code=code,
            title=title,
            tier=tier,
            severity=severity,
            subject="sae",
            requires=requires,
            architectures=architectures,
            needs_manifest=needs_manifest,
            asked_last=False,
            ask=ask,
            page=_page_of(ask),
        )

    return declare


def repository_check(
    code: str,
    title: str,
    *,
    tier: Tier,
    severity: Severity = "fail",
    requires: tuple[str, ...] = (),
    needs_manifest: bool = False,
    asked_last: bool = False,
) -> Callable[[Callable[[RepositorySubject], Verdict]], Check]:
    """Make a function with a page into a check that is asked once of the repository.

    One that is asked last may require checks of SAEs: they then come before it, and it says itself
    what follows where one was not passed.
    """

    def declare(ask: Callable[[RepositorySubject], Verdict]) -> Check:
        return Check(
            code=code,
            title=title,
            tier=tier,
            severity=severity,
            subject="repository",
            requires=requires,
            architectures=None,
            needs_manifest=needs_manifest,
            asked_last=asked_last,
            ask=ask,
            page=_page_of(ask),
        )

    return declare


def _page_of(ask: Callable[[Any], Verdict]) -> str:
    page = inspect.getdoc(ask)
    assert page, f"{ask.__name__} has no docstring, which would be its page"
    return page
