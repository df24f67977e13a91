"""The commit call: newline-delimited JSON in, one new commit on one ref out, or nothing at all."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from release.embedded_hub.errors import Refusal, entry_not_found
from release.embedded_hub.git_store import GitStore, Snapshot
from release.embedded_hub.names import check_path_in_repo, is_commit_prefix, is_sha256
from release.embedded_hub.pointers import Pointer

STALE_PARENT = "The branch was updated since you opened this page. Please refresh and try again."
SizeOfObject = Callable[[str], int | None]


@dataclass(frozen=True)
class AddFile:
    """Write an ordinary file."""

    path: str
    content: bytes


@dataclass(frozen=True)
class AddLargeFile:
    """Write the pointer of an uploaded object; copies do not state a size."""

    path: str
    sha256: str
    size_bytes: int | None


@dataclass(frozen=True)
class DeleteFile:
    """Remove one file."""

    path: str


@dataclass(frozen=True)
class DeleteFolder:
    """Remove all files below a path."""

    path: str


Operation = AddFile | AddLargeFile | DeleteFile | DeleteFolder


@dataclass(frozen=True)
class CommitRequest:
    """What a commit call asks for."""

    summary: str
    description: str
    parent_commit: str | None
    operations: Sequence[Operation]


def parse_commit_request(body: bytes) -> CommitRequest:
    """Read the lines of a commit call.

    Raises:
        Refusal: 400, a line is not what the Hub's API describes, or a path is not acceptable.
    """
    header: Mapping[str, Any] | None = None
    operations: list[Operation] = []
    for line in body.splitlines():
        if not line.strip():
            continue
        key, value = _read_line(line)
        if key == "header":
            if header is not None or operations:
                raise Refusal(400, "The header must be the first line, once")
            header = value
        else:
            operations.append(_operation(key, value))
    if header is None:
        raise Refusal(400, "The header line is missing")
    summary, parent = header.get("summary"), header.get("parentCommit")
    if not isinstance(summary, str) or not summary.strip():
        raise Refusal(400, "The commit needs a summary")
    if parent is not None and not (isinstance(parent, str) and is_commit_prefix(parent)):
        raise Refusal(400, "parentCommit must be 5 to 40 hexadecimal digits")
    if not operations:
        raise Refusal(400, "The commit holds no operations")
    return CommitRequest(
        summary=" ".join(summary.split("\n")).strip(),
        description=str(header.get("description") or ""),
        parent_commit=parent,
        operations=operations,
    )


def _read_line(line: bytes) -> tuple[str, Mapping[str, Any]]:
    try:
        item = json.loads(line)
    except ValueError as error:
        raise Refusal(400, f"A line is not JSON: {error}") from error
    if not isinstance(item, dict) or not isinstance(item.get("value"), dict):
        raise Refusal(400, 'A line must be an object with "key" and "value"')
    return str(item.get("key")), item["value"]


def _operation(key: str, value: Mapping[str, Any]) -> Operation:
    if key == "deletedFolder":
        return DeleteFolder(check_path_in_repo(str(value.get("path", "")).rstrip("/")))
    path = check_path_in_repo(value.get("path"))
    if key == "deletedFile":
        return DeleteFile(path)
    if key == "file":
        return AddFile(path, _content(value))
    if key == "lfsFile":
        sha256, size_bytes = value.get("oid"), value.get("size")
        if value.get("algo", "sha256") != "sha256" or not is_sha256(sha256):
            raise Refusal(400, f"lfsFile {path}: expected a sha256 oid")
        if size_bytes is not None and not isinstance(size_bytes, int):
            raise Refusal(400, f"lfsFile {path}: size must be a number")
        return AddLargeFile(path, str(sha256), size_bytes)
    raise Refusal(400, f"Unknown operation: {key!r}")


def _content(value: Mapping[str, Any]) -> bytes:
    content = value.get("content")
    if not isinstance(content, str):
        raise Refusal(400, "file: content must be a string")
    if value.get("encoding", "utf-8") != "base64":
        return content.encode("utf-8")
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise Refusal(400, f"file: content is not base64: {error}") from error


def write_commit(
    git: GitStore,
    request: CommitRequest,
    *,
    base: str,
    target_ref: str,
    author: str,
    size_of_object: SizeOfObject,
) -> str:
    """Make one commit on top of `base` and move `target_ref` to it, or change nothing.

    For a branch, `base` is its head and must still be so; for a new pull request, `target_ref`
    does not exist yet. The caller holds `git.lock`.

    Raises:
        Refusal: 412 if `parentCommit` is not `base`; 400 for an object that was not uploaded or
            paths that cannot lie side by side; 404 EntryNotFound for a deletion of nothing.
    """
    if request.parent_commit and not base.startswith(request.parent_commit):
        raise Refusal(412, STALE_PARENT)
    files = _apply(git, git.snapshot(base), request.operations, size_of_object)
    commit = git.write_commit(
        files,
        parents=(base,),
        title=request.summary,
        message=request.description,
        author=author,
    )
    git.set_ref(target_ref, commit, expected=git.ref(target_ref))
    return commit


def _apply(
    git: GitStore,
    snapshot: Snapshot,
    operations: Sequence[Operation],
    size_of_object: SizeOfObject,
) -> dict[str, str]:
    """The files after the operations, path to blob id."""
    files = {path: entry.oid for path, entry in snapshot.files.items()}
    for operation in operations:
        match operation:
            case AddFile(path, content):
                files[path] = git.add_blob(content)
            case AddLargeFile(path, sha256, size_bytes):
                actual = size_of_object(sha256)
                if actual is None:
                    raise Refusal(400, f"{path}: LFS pointer pointed to a file that does not exist")
                if size_bytes not in (None, actual):
                    raise Refusal(400, f"{path}: size is {actual}, the commit says {size_bytes}")
                files[path] = git.add_blob(Pointer(sha256, actual).to_bytes())
            case DeleteFile(path):
                if files.pop(path, None) is None:
                    refusal = entry_not_found(path)
                    refusal.message = f"A file with this name doesn't exist: {path}"
                    raise refusal
            case DeleteFolder(path):
                below = [name for name in files if name.startswith(f"{path}/")]
                if not below:
                    refusal = entry_not_found(path)
                    refusal.message = f"A folder with this name doesn't exist: {path}"
                    raise refusal
                for name in below:
                    del files[name]
    _refuse_file_that_is_also_folder(files)
    return files


def _refuse_file_that_is_also_folder(files: Mapping[str, str]) -> None:
    for path in files:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder in files:
                raise Refusal(400, f"{folder} would be both a file and a folder (of {path})")
