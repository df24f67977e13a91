"""How a repository stands to the Hub, or why that is not known; a page is made all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from validators.reading.repository import HubUnavailable

if TYPE_CHECKING:
    from manifests.load import LoadedManifest
    from release.hub_connection import HubConnection

# As the marks of checks: the shape and the colour that a state is shown in.
KINDS = {
    "published": "passed",
    "read there": "passed",
    "out of date": "warned",
    "changed": "failed",
    "foreign": "warned",
    "absent": "unknown",
    "no answer": "unknown",
    "not asked": "unknown",
}


@dataclass(frozen=True)
class HubState:
    """A repository against its manifest, as `release status` tells it.

    Attributes:
        word: the state; besides those of `release status`: `not asked`; `no answer` of a Hub that
            gave none; `read there` of a repository without a manifest on this machine.
        findings: what differs, or why there is no answer.
        head: the commit on `main`; None where there is none, or it is not known.
        release: the newest tag that numbers a release, or None.
        endpoint: which Hub was asked; None: none.
    """

    word: str
    findings: tuple[str, ...] = ()
    head: str | None = None
    release: str | None = None
    is_private: bool | None = None
    endpoint: str | None = None

    @property
    def kind(self) -> str:
        """How grave it is, in the words of checks, or `unknown`; a state that is new here warns."""
        return KINDS.get(self.word, "warned")


def not_asked(why: str) -> HubState:
    """The state of what no Hub was asked about."""
    return HubState("not asked", (why,))


def no_answer(error: HubUnavailable, connection: HubConnection) -> HubState:
    """The state where the Hub did not answer."""
    return HubState("no answer", (error.what,), endpoint=connection.endpoint)


def hub_state(loaded: LoadedManifest, connection: HubConnection) -> HubState:
    """Ask the Hub; that it does not answer is a state too, and no error."""
    from release.publishing.status import repository_status

    try:
        found = repository_status(loaded, connection)
    except HubUnavailable as error:
        return no_answer(error, connection)
    return HubState(
        word=found.state,
        findings=found.findings,
        head=found.head,
        release=found.release,
        is_private=found.is_private,
        endpoint=connection.endpoint,
    )
