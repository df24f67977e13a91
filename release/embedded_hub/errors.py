"""What goes wrong: errors for the caller of this package, and refusals for the HTTP client."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manifests.errors import ReleaseError


class PortInUse(ReleaseError):
    """The port asked for already has a listener."""

    exit_code = 4

    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} on 127.0.0.1 is already in use",
            expected="a free port for the embedded Hub",
            next_step="pass another --port, or `--port 0` to let the system choose one",
        )
        self.port = port


class HubRootInUse(ReleaseError):
    """Another server process has this root folder open."""

    exit_code = 4

    def __init__(self, root: Path) -> None:
        super().__init__(
            f"another embedded Hub is already serving {root}",
            expected="one server process per root folder",
            next_step="wait until the command that uses it has ended; a Hub that runs by "
            "`release hub serve` is used by its URL: --hub http://127.0.0.1:PORT",
        )
        self.root = root


class Refusal(Exception):
    """An answer other than success; becomes the HTTP status and the Hub's two error headers.

    `code` is what the client looks at to choose its exception (`X-Error-Code`): RepoNotFound,
    RevisionNotFound, EntryNotFound or GatedRepo; None for every other refusal.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.body = dict(body or {})
        self.headers = dict(headers or {})


def repository_not_found(*, authenticated: bool) -> Refusal:
    """The Hub does not tell a missing repository from one that the caller may not see.

    Anonymous callers get 401, authenticated ones 404; both carry RepoNotFound.
    """
    if authenticated:
        return Refusal(404, "Repository not found", code="RepoNotFound")
    return Refusal(401, "Invalid username or password.", code="RepoNotFound")


def revision_not_found(revision: str) -> Refusal:
    """No branch, tag, pull request or commit has this name."""
    return Refusal(404, f"Invalid rev id: {revision}", code="RevisionNotFound")


def entry_not_found(path: str, commit: str | None = None) -> Refusal:
    """The revision exists but holds no such file; names the commit that was looked at."""
    headers = {"X-Repo-Commit": commit} if commit else {}
    return Refusal(404, f"Entry not found: {path}", code="EntryNotFound", headers=headers)
