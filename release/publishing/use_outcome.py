"""What follows from using a release from the Hub: asked once for a commit, and the way back."""

from __future__ import annotations

import re

from pydantic import TypeAdapter, ValidationError

from manifests.build_folder import BuildFolder
from manifests.errors import ReleaseError
from release.hub_connection import HubConnection, hub_errors_explained
from release.publishing.hub_use import HubUse
from release.publishing.receipts import read_receipt

_TAG = re.compile(r"release-([1-9][0-9]{0,8})")


class UnusableRelease(ReleaseError):
    """What was pushed is on the Hub byte for byte, and does not load or run from there."""


def kept_use(build: BuildFolder, commit: str) -> HubUse | None:
    """What the last push found at this very commit, where that was good; else None."""
    try:
        use = TypeAdapter(HubUse).validate_python(read_receipt(build).get("use"))
    except ValidationError:
        return None
    return use if use.outcome == "passed" and use.commit == commit else None


def require_usable(
    use: HubUse | None,
    repo_id: str,
    *,
    parent: str,
    pull_request: str | None,
    connection: HubConnection,
) -> None:
    """Say what does not work on the Hub, and how to undo the commit.

    Args:
        use: what came of it; None: nobody asked.
        repo_id: the repository.
        parent: the head before the commit, by oid.
        pull_request: its URL, where there is one.
        connection: the Hub.

    Raises:
        UnusableRelease: it failed.
    """
    if use is None or use.outcome != "failed":
        return
    raise UnusableRelease(
        "the commit is on the Hub, byte for byte, and cannot be used from there:\n"
        + "\n".join(f"  - {reason}" for reason in use.reasons),
        where=f"{connection.endpoint}/{repo_id} at {use.commit}",
        expected="SAELens to load an SAE of it by its name, and the card's code to run",
        next_step=(
            f"mend it and push again, or close {pull_request}; main is as it was"
            if pull_request
            else way_back(repo_id, use.commit, parent, connection)
        ),
    )


def way_back(repo_id: str, commit: str, parent: str, connection: HubConnection) -> str:
    """The command that brings back what was there before a commit, and what to do after it.

    By the newest tag of that state where it has one, else by its oid. The commit that the Hub makes
    with a repository is no state to go back to.
    """
    api, former, tags = connection.api(), parent if parent != commit else "", []
    try:
        with hub_errors_explained(f"reading the history of {repo_id}", connection):
            if not former:
                history = api.list_repo_commits(repo_id, revision=commit)
                former = history[1].commit_id if len(history) > 2 else ""
            tags = api.list_repo_refs(repo_id).tags
    except ReleaseError:
        if not former:
            return "mend it, then push again"
    if not former:
        return "mend it, then push again; there is no former release to go back to"
    numbered = {
        int(found[1]): tag.name
        for tag in tags
        if (found := _TAG.fullmatch(tag.name)) and tag.target_commit == former
    }
    to = numbered[max(numbered)] if numbered else former
    return f"release rollback {repo_id} --to {to}{connection.option}, then mend it and push again"
