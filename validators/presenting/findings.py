"""What checks found, told once for all SAEs that it was found on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from validators.report import Acceptance, Outcome, OutcomeKind

WORDS: dict[OutcomeKind, str] = {
    "noted": "note",
    "warned": "warning",
    "accepted": "accepted",
    "crashed": "crashed",
    "failed": "failed",
}


@dataclass(frozen=True)
class Finding:
    """Outcomes of one check that ended in the same way, in the report's order."""

    kind: OutcomeKind
    outcomes: tuple[Outcome, ...]

    @property
    def first(self) -> Outcome:
        """The one that stands for all."""
        return self.outcomes[0]

    @property
    def code(self) -> str:
        """The check's code."""
        return self.first.code

    @property
    def word(self) -> str:
        """What the kind is called in a sentence."""
        return WORDS[self.kind]

    @property
    def acceptance(self) -> Acceptance | None:
        """Since when it is accepted, and why; the same for all."""
        return self.first.acceptance

    @property
    def subjects(self) -> tuple[str, ...]:
        """The SAEs; empty where it is about the repository."""
        return tuple(outcome.subject for outcome in self.outcomes if outcome.subject)

    @property
    def is_alike(self) -> bool:
        """Whether the same was found everywhere."""
        return len({outcome.found for outcome in self.outcomes}) == 1

    def distinct(self, field: str) -> tuple[str, ...]:
        """The different texts of a field, the most frequent first; empty ones left out."""
        texts = [str(getattr(outcome, field)) for outcome in self.outcomes]
        return tuple(sorted(dict.fromkeys(filter(None, texts)), key=lambda t: -texts.count(t)))


def headline(outcome: Outcome) -> str:
    """What was found, in one line: the first, or of a crash the last, which names the error."""
    lines = outcome.found.strip().splitlines() or [outcome.title]
    return lines[-1] if outcome.outcome == "crashed" else lines[0]


def findings(outcomes: Iterable[Outcome], kind: OutcomeKind) -> list[Finding]:
    """What ended in one way, sorted by code; apart where it is accepted for different reasons."""
    groups: dict[tuple[str, ...], list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.outcome == kind:
            accepted = outcome.acceptance
            reason = (accepted.since.isoformat(), accepted.why) if accepted else ()
            groups.setdefault((outcome.code, *reason), []).append(outcome)
    return [Finding(kind, tuple(group)) for _, group in sorted(groups.items())]
