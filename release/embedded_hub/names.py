"""Which names are accepted for repositories, revisions and paths.

Every name in a request passes through here before it is used. None of them becomes a file name
except branch and tag names, which is why those are narrower than git's: a name that Windows
could not store as a file is refused on every system, so a hub's folder can be moved.
"""

from __future__ import annotations

import re

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils._validators import validate_repo_id

from release.embedded_hub.errors import Refusal

REPO_KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
"""Plural, as in URLs, to singular, as in payloads."""

PLURALS = {kind: plural for plural, kind in REPO_KINDS.items()}

_COMMIT_PREFIX = re.compile(r"[0-9a-f]{5,40}")
_REVISION_PART = re.compile(r"[A-Za-z0-9_+=#@%,][A-Za-z0-9_+=#@%,.-]*")
_PULL_REQUEST = re.compile(r"refs/pr/([1-9][0-9]{0,8})")
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_repo_id(namespace: str, name: str) -> str:
    """`namespace/name`, or 400 where huggingface_hub's own rule would refuse it."""
    repo_id = f"{namespace}/{name}"
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise Refusal(400, f"Invalid repository name: {error}") from error
    return repo_id


def is_commit_prefix(text: str) -> bool:
    """Whether this could abbreviate a commit: 5 to 40 lower-case hexadecimal digits."""
    return _COMMIT_PREFIX.fullmatch(text) is not None


def is_sha256(text: object) -> bool:
    """Whether this is a SHA-256 in lower-case hexadecimal."""
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def pull_request_number(revision: str) -> int | None:
    """N for `refs/pr/N`, None for anything else."""
    match = _PULL_REQUEST.fullmatch(revision)
    return int(match[1]) if match else None


def check_new_ref_name(name: str) -> str:
    """A branch or tag name that may be created, or 400."""
    parts = name.split("/")
    acceptable = (
        len(name) <= 200
        and ".." not in name
        and "@{" not in name
        and name != "HEAD"
        and parts[0] != "refs"
        and all(
            _REVISION_PART.fullmatch(part)
            and not part.endswith((".", ".lock"))
            and not _WINDOWS_DEVICES.fullmatch(part)
            for part in parts
        )
    )
    if not acceptable:
        raise Refusal(400, f"Invalid reference name: {name!r}")
    return name


def check_path_in_repo(path: object) -> str:
    """A relative POSIX path of a file inside a repository, or 400.

    Refused: absolute paths, `.` and `..` segments, empty segments, backslashes, control
    characters, and any segment called `.git`.
    """
    if not isinstance(path, str) or not path:
        raise Refusal(400, "Invalid path: expected a non-empty string")
    parts = path.split("/")
    if (
        len(path.encode("utf-8", "surrogatepass")) > 1024
        or any(part in {"", ".", ".."} or part.lower() == ".git" for part in parts)
        or "\\" in path
        or any(ord(character) < 0x20 or ord(character) == 0x7F for character in path)
        or any(0xD800 <= ord(character) <= 0xDFFF for character in path)
    ):
        raise Refusal(400, f"Invalid path in repository: {path!r}")
    return path
