"""What the checks found: each finding once for all its SAEs, with its explanation and remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from manifests.errors import UsageError
from release.report_page.rows import anchor_of
from validators.presenting.findings import WORDS, headline
from validators.presenting.findings import findings as grouped
from validators.presenting.pages import with_titles
from validators.presenting.tally import Tally, tally
from validators.registry import find_check
from validators.report import Checks, Outcome, OutcomeKind

# Gravest first; what is skipped stands where a gap does.
ORDER: tuple[OutcomeKind, ...] = ("failed", "crashed", "skipped", "warned", "accepted", "noted")
_WORDS = {**WORDS, "skipped": "skipped", "warned": "warned", "noted": "noted", "passed": "passed"}


@dataclass(frozen=True)
class Where:
    """What was found on which SAEs; `subjects` pairs ids with anchors, empty: the repository."""

    found: str
    subjects: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PageFinding:
    """Outcomes of one check that ended in one way.

    Attributes:
        kind: the outcome.
        anchor: what an address names it by, after `#`.
        where: each text that was found, with its SAEs, the most frequent first.
        expected, next_steps: the different texts of all outcomes.
        accepted: since when and why, of an accepted failure; else empty.
        explanation: the check's page, as Markdown; empty where this version has no such check.
    """

    kind: OutcomeKind
    code: str
    title: str
    anchor: str
    n_saes: int
    where: tuple[Where, ...]
    expected: tuple[str, ...]
    next_steps: tuple[str, ...]
    accepted: str
    explanation: str

    @property
    def word(self) -> str:
        """The kind in words."""
        return _WORDS[self.kind]


@dataclass(frozen=True)
class Counted:
    """A check that passed, or had nothing to ask about, and how often; `found` says why."""

    code: str
    title: str
    n: int
    found: str


@dataclass(frozen=True)
class Findings:
    """All outcomes of a report."""

    tally: Tally
    tiers: tuple[str, ...]
    findings: tuple[PageFinding, ...]
    passed: tuple[Counted, ...]
    not_asked: tuple[Counted, ...]

    def of(self, *kinds: OutcomeKind) -> tuple[PageFinding, ...]:
        """Those that ended in one of the ways."""
        return tuple(found for found in self.findings if found.kind in kinds)


def findings_of(checks: Checks) -> Findings:
    """Sort the outcomes of a report into what a page shows."""
    own = [o for o in checks.outcomes if o.outcome != "skipped" or o.required]
    anchors: list[str] = []
    return Findings(
        tally=tally(checks.outcomes),
        tiers=checks.tiers,
        findings=tuple(
            _finding(kind, found.outcomes, anchors)
            for kind in ORDER
            for found in grouped(own, kind)
        ),
        passed=tuple(_counted(o for o in checks.outcomes if o.outcome == "passed")),
        not_asked=tuple(
            _counted(o for o in checks.outcomes if o.outcome == "skipped" and not o.required)
        ),
    )


def anchor_of_finding(kind: str, code: str) -> str:
    """The finding's name in an address."""
    return anchor_of(code).replace("sae-", f"{kind}-", 1)


def text_of(outcome: Outcome) -> str:
    """What was found; of a crash the line that names the error, as its traceback has our paths."""
    return headline(outcome) if outcome.outcome == "crashed" else outcome.found or outcome.title


def _finding(kind: OutcomeKind, outcomes: tuple[Outcome, ...], anchors: list[str]) -> PageFinding:
    first = outcomes[0]
    accepted = first.acceptance
    # A failure that is accepted for two reasons makes two findings of one check.
    anchor = anchor_of_finding(kind, first.code)
    anchors.append(anchor)
    n_before = anchors.count(anchor) - 1
    return PageFinding(
        kind=kind,
        code=first.code,
        title=first.title,
        anchor=f"{anchor}-{n_before + 1}" if n_before else anchor,
        n_saes=len({o.subject for o in outcomes if o.subject}),
        where=_where(outcomes),
        expected=_distinct(o.expected for o in outcomes),
        next_steps=_distinct(with_titles(o.next_step) for o in outcomes),
        accepted=f"since {accepted.since.isoformat()}: {accepted.why}" if accepted else "",
        explanation=_explanation(first.code),
    )


def _where(outcomes: tuple[Outcome, ...]) -> tuple[Where, ...]:
    by_text: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_text.setdefault(text_of(outcome), []).append(outcome)
    return tuple(
        Where(text, tuple((o.subject, anchor_of(o.subject)) for o in each if o.subject))
        for text, each in sorted(by_text.items(), key=lambda item: -len(item[1]))
    )


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, texts)))


def _explanation(code: str) -> str:
    try:
        return find_check(code).page
    except UsageError:
        return ""


def _counted(outcomes: Iterable[Outcome]) -> list[Counted]:
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.code, outcome.title), []).append(outcome)
    return [
        Counted(code, title, len(each), "; ".join(_distinct(o.found for o in each[:1])))
        for (code, title), each in sorted(groups.items())
    ]
