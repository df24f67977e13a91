"""How outcomes are counted, the same on the terminal, in files and on cards (docs/report.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from validators.report import Outcome


@dataclass(frozen=True)
class Tally:
    """Numbers of outcomes.

    Attributes:
        passed: passed, and noted: a note states a fact, and nothing has to be mended.
        warned: warnings.
        failed: failures and crashes.
        accepted: failures that a local manifest accepts.
        gaps: required checks that were skipped.
        not_required: checks that there was nothing to ask about.
    """

    passed: int
    warned: int
    failed: int
    accepted: int
    gaps: int
    not_required: int

    @property
    def asked(self) -> int:
        """How many were answered, in whatever way; skipped ones were not."""
        return self.passed + self.warned + self.failed + self.accepted


def tally(outcomes: Iterable[Outcome]) -> Tally:
    """Count outcomes; each is counted once."""
    every = list(outcomes)

    def count(*kinds: str) -> int:
        return sum(outcome.outcome in kinds for outcome in every)

    gaps = sum(outcome.outcome == "skipped" and outcome.required for outcome in every)
    return Tally(
        passed=count("passed", "noted"),
        warned=count("warned"),
        failed=count("failed", "crashed"),
        accepted=count("accepted"),
        gaps=gaps,
        not_required=count("skipped") - gaps,
    )


def counted(n: int, noun: str) -> str:
    """A number with its noun, such as `1 check` and `2 checks`."""
    return f"{n} {noun}{'s' * (n != 1)}"
