"""How a skipped check says which other one has to be mended first."""

from __future__ import annotations

import re

from validators.report import Outcome

_REASON = re.compile(r"([A-Z]\d{3}) \(.*\) (?:failed|crashed)", re.DOTALL)


def blocked_reason(code: str, title: str, kind: str) -> str:
    """The reason of a check that rests on one that failed, crashed, or was accepted or ignored."""
    return f"{code} ({title}) {kind}"


def blocked_by(outcome: Outcome) -> str | None:
    """The code of the failure that a skipped check waits for; None where it waits for none."""
    if outcome.outcome != "skipped":
        return None
    reason = _REASON.fullmatch(outcome.found)
    return reason.group(1) if reason else None
