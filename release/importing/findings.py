"""What an import noticed: statements of one repository that disagree, or that are missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["fail", "warn", "note"]
_ORDER: dict[Severity, int] = {"fail": 0, "warn": 1, "note": 2}
_SHOWN_PLACES = 3


@dataclass(frozen=True)
class Finding:
    """One disagreement; `where` is a folder, a file, or the card."""

    severity: Severity
    where: str
    found: str
    expected: str

    def as_json(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return asdict(self)


def grouped(findings: Iterable[Finding], *, n_saes: int) -> tuple[Finding, ...]:
    """Findings that differ only in their place as one, sorted by severity, then by place.

    Args:
        findings: in any order.
        n_saes: how many SAEs there are, of which a group names a part.
    """
    places: dict[tuple[Severity, str, str], list[str]] = {}
    for finding in findings:
        same = places.setdefault((finding.severity, finding.found, finding.expected), [])
        if finding.where not in same:
            same.append(finding.where)
    merged = [
        Finding(severity, _place(sorted(where), n_saes), found, expected)
        for (severity, found, expected), where in places.items()
    ]
    return tuple(sorted(merged, key=lambda each: (_ORDER[each.severity], each.where, each.found)))


def _place(where: list[str], n_saes: int) -> str:
    if len(where) <= _SHOWN_PLACES:
        return ", ".join(where)
    if len(where) == n_saes:
        return f"all {n_saes} SAEs"
    rest = len(where) - _SHOWN_PLACES
    return f"{len(where)} of {n_saes}: {', '.join(where[:_SHOWN_PLACES])} and {rest} more"
