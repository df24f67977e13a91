"""Which failures a manifest accepts, and which of its acceptances are no longer needed."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import get_args

from manifests.facts import Accept
from validators.report import Outcome, Tier

# A claim that does not hold is taken out of the manifest; there is nothing else to accept.
NEVER_ACCEPTED = "M"


def acceptance_of(code: str, subject: str, entries: Iterable[Accept]) -> Accept | None:
    """The first entry that accepts a failure of a check on a subject; None when there is none.

    `where` is a glob over SAE ids, compared with case; the repository's own id is the empty text,
    which only `*` matches.
    """
    if code.startswith(NEVER_ACCEPTED):
        return None
    return next((entry for entry in entries if _is_about(entry, code, subject)), None)


def why_unneeded(entry: Accept, outcomes: tuple[Outcome, ...]) -> str | None:
    """Why an entry accepts nothing; None when it does, or when that could not be found out.

    It could not where the check crashed, was skipped, or is of a tier that was not run. What fails
    all the same is needed too: a published manifest accepts nothing, whatever it says.
    """
    if entry.code.startswith(NEVER_ACCEPTED):
        return "a claim that does not hold cannot be accepted"
    about = [o.outcome for o in outcomes if _is_about(entry, o.code, o.subject)]
    unsettled = {"accepted", "failed", "skipped", "crashed"}
    if unsettled & set(about) or not _was_run(entry.code, outcomes):
        return None
    if not about:
        return "no such check was asked of anything that it names"
    return f"none of {len(about)} fails it"


def _is_about(entry: Accept, code: str, subject: str) -> bool:
    return entry.code == code and fnmatchcase(subject, entry.where)


def _was_run(code: str, outcomes: tuple[Outcome, ...]) -> bool:
    """Whether the tier of a check was run; one that does not exist would have been, by now."""
    tiers, digit = get_args(Tier), int(code[1])
    return digit >= len(tiers) or tiers[digit] in {outcome.tier for outcome in outcomes}
