"""What is told of the token: whose it is and what it may do; it is never printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from manifests.errors import ReleaseError
from release.doctor.line import Line, State
from release.token_source import TokenSource

_WRITES = ("repo.write", "repo.content.write")


def not_looked_up_line(source: TokenSource) -> Line:
    """Where the token comes from, where no Hub is asked whose it is."""
    if source.name is None and source.refused is not None:
        what = f"{source.refused} cannot be looked into"
        return Line("token", State.BROKEN, what, "move it with HF_HOME, or set HF_TOKEN")
    what = f"from {source.name}, not looked up" if source.name else "none"
    return Line("token", State.NOTE, what)


def no_token_line(source: TokenSource, endpoint: str, *, saved_is_for: str) -> Line:
    """What it means that a command would send no token."""
    mend = f"hf auth login, or set HF_TOKEN; make a token at {endpoint}/settings/tokens"
    if source.name is None:
        return Line("token", State.NOTE, "none; public repositories can be read, no more", mend)
    if endpoint.rstrip("/") == saved_is_for.rstrip("/"):
        # The one reason why a token of this very Hub is not sent.
        what = f"{source.name} is not sent: HF_HUB_DISABLE_IMPLICIT_TOKEN is set"
        return Line("token", State.NOTE, what, "unset it, or set HF_TOKEN")
    what = f"{source.name} is for {saved_is_for} and is not sent to {endpoint}"
    return Line("token", State.NOTE, what, "set HF_TOKEN to a token of that Hub")


def unknown_line(why: str) -> Line:
    """A token that the Hub would not speak about; `why` is a status or the kind of an error."""
    what = f"the Hub did not say whose it is ({why})"
    return Line("token", State.NOTE, what, "try again later")


def unusable_line(error: ReleaseError) -> Line:
    """A token that cannot be had or sent."""
    what = f"{error.where}: {error.what}" if error.where else error.what
    return Line("token", State.BROKEN, what, error.next_step)


def refused_line(source: TokenSource, endpoint: str) -> Line:
    """A token that the Hub does not know."""
    what = f"that of {source.name or 'this connection'} is refused by {endpoint} as unknown"
    mend = f"hf auth login, or set HF_TOKEN to one of {endpoint}/settings/tokens"
    return Line("token", State.BROKEN, what, mend)


def token_line(told: Mapping[str, Any], source: TokenSource, endpoint: str) -> Line:
    """Whose a token is and what it may do, from the answer of `/api/whoami-v2`."""
    access = (told.get("auth") or {}).get("accessToken") or {}
    organizations = [str(one.get("name")) for one in told.get("orgs") or []]
    whose = f"{told.get('name', '?')}'s"
    if access.get("displayName"):
        whose += f", called {access['displayName']!r}"
    whose += f", from {source.name or 'the embedded Hub'}"
    if organizations:
        whose += f"; organizations: {', '.join(organizations)}"
    if source.hides:
        whose += f"; that of {source.hides} is not used"
    role = str(access.get("role") or "unknown")
    make = f"make one with write access at {endpoint}/settings/tokens"
    if role == "write":
        return Line("token", State.OK, f"{whose}; may write")
    if role == "read":
        return Line("token", State.NOTE, f"{whose}; may read only, and a push writes", make)
    if role != "fineGrained":
        return Line("token", State.NOTE, f"{whose}; its role is {role}")
    may = _permissions(access.get("fineGrained") or {})
    listed = "; ".join(f"{name}: {', '.join(rights)}" for name, rights in may.items()) or "nothing"
    writes_to = [name for name, rights in may.items() if any(right in _WRITES for right in rights)]
    if writes_to:
        return Line("token", State.OK, f"{whose}; fine-grained, may write to {', '.join(writes_to)}"
                    f" ({listed})")  # fmt: skip
    what = f"{whose}; fine-grained ({listed}), without write access to any repository"
    return Line("token", State.NOTE, what, f"add repo.write at {endpoint}/settings/tokens")


def _permissions(fine_grained: Mapping[str, Any]) -> dict[str, list[str]]:
    """What a fine-grained token may do, by the user, organization or repository it may do it in."""
    may: dict[str, list[str]] = {}
    if everywhere := [str(right) for right in fine_grained.get("global") or []]:
        may["everywhere"] = everywhere
    for scope in fine_grained.get("scoped") or []:
        entity = scope.get("entity") or {}
        name = str(entity.get("name") or entity.get("_id") or "?")
        if rights := [str(right) for right in scope.get("permissions") or []]:
            may.setdefault(name, []).extend(rights)
    return may
