"""The one sentence that every report ends with."""

from __future__ import annotations

from validators.presenting.tally import counted, tally
from validators.report import Report


def closing_sentence(report: Report, *, next_command: str) -> str:
    """What was decided, from how many checks, and what to do next."""
    checks = report.checks
    if checks is None or not checks.outcomes:
        return "NOTHING CHECKED: the report holds no checks; run `release validate` first."
    n = tally(checks.outcomes)
    n_saes = len({outcome.subject for outcome in checks.outcomes if outcome.subject})
    asked = f"{counted(n.asked, 'check')} on {counted(n_saes, 'SAE')}"
    others = ""
    if n.warned:
        others += f", {n.warned} warned"
    if n.accepted:
        others += f", {n.accepted} failed as accepted"
    if n.failed:
        bad = next(o for o in checks.outcomes if o.outcome in ("failed", "crashed"))
        return (
            f"FAILED: {n.failed} of {asked} failed{others}; mend "
            f"{'it' if n.failed == 1 else 'them'} and validate again "
            f"(`release explain {bad.code}` tells more)."
        )
    if n.gaps:
        were = "check was" if n.gaps == 1 else "checks were"
        return (
            f"INCOMPLETE: no failure in {asked}{others}, but {n.gaps} required {were} "
            "skipped; supply what they lack and validate again."
        )
    if not n.asked:
        return (
            f"NOTHING CHECKED: none of {counted(n.not_required, 'check')} had anything to ask "
            "about; ask for other checks or another repository."
        )
    share = f"{n.passed} of {asked}" if others else asked
    # A report of somebody else may name no tier.
    tier = f", tier {checks.tiers[-1]}" if checks.tiers else ""
    return f"PASSED: {share} passed{others}{tier}; next: {next_command}"
