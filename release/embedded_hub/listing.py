"""How commits, files and folders look in the Hub's JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from release.embedded_hub.git_store import CommitRecord, FileEntry, GitStore, Snapshot
from release.embedded_hub.xet_store import XetStore


def tree_entry(file: FileEntry, xet: XetStore | None) -> dict[str, Any]:
    """A file in the answers of `tree` and `paths-info`."""
    entry: dict[str, Any] = {
        "type": "file",
        "oid": file.oid,
        "size": file.size_bytes,
        "path": file.path,
    }
    if file.pointer is not None:
        entry["lfs"] = {
            "oid": file.pointer.sha256,
            "size": file.pointer.size_bytes,
            "pointerSize": file.blob_size_bytes,
        }
        if xet is not None and (known := xet.of_sha256(file.pointer.sha256)) is not None:
            entry["xetHash"] = known.xet_hash
    return entry


def folder_entry(path: str, oid: str) -> dict[str, Any]:
    """A folder in the answers of `tree` and `paths-info`."""
    return {"type": "directory", "oid": oid, "size": 0, "path": path}


def entries_below(
    snapshot: Snapshot, folder: str, *, recursive: bool, xet: XetStore | None
) -> list[dict[str, Any]]:
    """Files and folders inside a folder (empty for the root), sorted by path."""
    prefix = f"{folder}/" if folder else ""

    def belongs(path: str) -> bool:
        return path.startswith(prefix) and (recursive or "/" not in path[len(prefix) :])

    found = [tree_entry(file, xet) for path, file in snapshot.files.items() if belongs(path)]
    found += [folder_entry(path, oid) for path, oid in snapshot.folders.items() if belongs(path)]
    return sorted(found, key=lambda entry: entry["path"])


def sibling(file: FileEntry, *, with_blobs: bool) -> dict[str, Any]:
    """A file in a repository's info."""
    entry: dict[str, Any] = {"rfilename": file.path}
    if with_blobs:
        entry |= {"blobId": file.oid, "size": file.size_bytes}
        if file.pointer is not None:
            entry["lfs"] = {
                "sha256": file.pointer.sha256,
                "size": file.pointer.size_bytes,
                "pointerSize": file.blob_size_bytes,
            }
    return entry


def add_last_commits(git: GitStore, commit: str, entries: Iterable[dict[str, Any]]) -> None:
    """Give each entry the newest commit that changed it, as `expand=true` asks."""
    waiting = {entry["path"]: entry for entry in entries}
    history = list(git.history(commit))
    for record in history:
        if not waiting:
            return
        parent = git.snapshot(record.parents[0]) if record.parents else None
        for path, entry in list(waiting.items()):
            if parent is None or _oid_at(parent, path) != entry["oid"]:
                entry["lastCommit"] = {
                    "id": record.oid,
                    "title": record.title,
                    "date": record.date,
                }
                del waiting[path]


def _oid_at(snapshot: Snapshot, path: str) -> str | None:
    file = snapshot.files.get(path)
    return file.oid if file else snapshot.folders.get(path)


def commit_entry(record: CommitRecord) -> dict[str, Any]:
    """A commit in the answer of `commits`."""
    return {
        "id": record.oid,
        "title": record.title,
        "message": record.message,
        "authors": [{"user": record.author}],
        "date": record.date,
    }
