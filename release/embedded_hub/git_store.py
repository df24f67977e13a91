"""One repository's history: a bare git repository on disk, read and written through dulwich."""

from __future__ import annotations

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dulwich.index import commit_tree
from dulwich.objects import Blob, Commit, Tag
from dulwich.patch import write_tree_diff
from dulwich.repo import Repo

from release.embedded_hub.errors import Refusal, revision_not_found
from release.embedded_hub.names import is_commit_prefix, pull_request_number
from release.embedded_hub.pointers import Pointer, parse_pointer

_FILE_MODE = 0o100644
_SNAPSHOTS_KEPT = 64


@dataclass(frozen=True)
class FileEntry:
    """A file of one commit; `pointer` is set where git holds only an LFS pointer."""

    path: str
    oid: str
    """SHA-1 of the git blob (of the pointer, for a large file)."""
    blob_size_bytes: int
    pointer: Pointer | None

    @property
    def size_bytes(self) -> int:
        """The size of the content that a download gives."""
        return self.pointer.size_bytes if self.pointer else self.blob_size_bytes


@dataclass(frozen=True)
class Snapshot:
    """All files and folders of one commit, by path."""

    commit: str
    files: Mapping[str, FileEntry]
    folders: Mapping[str, str]
    """Folder path to the SHA-1 of its git tree."""


@dataclass(frozen=True)
class CommitRecord:
    """One commit, as the history shows it."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    title: str
    message: str
    author: str
    date: str


class GitStore:
    """Commits, trees and refs of one repository.

    `lock` makes read-decide-write sequences atomic within the process; the root's lock file keeps
    other processes out. Objects are written before the ref that makes them visible, and the ref
    is moved by compare-and-swap in one rename, so a kill leaves the old head or the new one.
    Lock files that a killed process left behind are removed on opening.
    """

    def __init__(self, folder: Path) -> None:
        self.lock = threading.RLock()
        for stale in folder.rglob("*.lock"):
            stale.unlink()
        self._repo = Repo(str(folder))
        self._blob_facts: dict[bytes, tuple[int, Pointer | None]] = {}
        self._snapshots: OrderedDict[str, Snapshot] = OrderedDict()

    @classmethod
    def create(cls, folder: Path, *, first_files: Mapping[str, bytes], author: str) -> GitStore:
        """A new repository whose branch `main` holds the Hub's initial commit."""
        Repo.init_bare(str(folder), mkdir=True, default_branch=b"main").close()
        store = cls(folder)
        blobs = {path: store.add_blob(content) for path, content in first_files.items()}
        commit = store.write_commit(blobs, parents=(), title="initial commit", author=author)
        store.set_ref("refs/heads/main", commit, expected=None)
        return store

    def close(self) -> None:
        """Release the files that dulwich has open."""
        self._repo.close()

    # Refs

    def refs(self, prefix: str) -> dict[str, str]:
        """Names below a prefix such as `refs/heads/` with the commits they lead to, sorted."""
        start = prefix.encode()
        with self.lock:
            found = {
                name[len(start) :].decode(): self._peel(value)
                for name, value in self._repo.get_refs().items()
                if name.startswith(start)
            }
        return dict(sorted(found.items()))

    def ref(self, name: str) -> str | None:
        """The commit that a full ref name leads to, None if there is no such ref."""
        with self.lock:
            value = self._repo.refs.read_ref(name.encode())
            return None if value is None else self._peel(value)

    def set_ref(self, name: str, target: str, *, expected: str | None) -> None:
        """Move a ref from `expected` (None: it must not exist yet) to `target`.

        Raises:
            Refusal: 409, the ref is elsewhere, or collides with another ref's name.
        """
        ref, new = name.encode(), target.encode()
        with self.lock:
            if expected is None:
                known = [other.decode() for other in self._repo.get_refs()]
                for other in known:
                    if _names_collide(name, other):
                        raise Refusal(409, f"Reference {name} collides with {other}")
                moved = self._repo.refs.add_if_new(ref, new)
            else:
                moved = self._repo.refs.set_if_equals(ref, expected.encode(), new)
        if not moved:
            raise Refusal(409, f"Reference {name} was changed by somebody else")

    def delete_ref(self, name: str) -> None:
        """Remove a ref, which must exist."""
        with self.lock:
            value = self._repo.refs.read_ref(name.encode())
            if value is None or not self._repo.refs.remove_if_equals(name.encode(), value):
                raise revision_not_found(name)

    def add_tag(self, name: str, target: str, *, message: str | None, author: str) -> None:
        """Create a tag: annotated when it has a message, else a plain ref.

        Raises:
            Refusal: 409, the tag exists.
        """
        with self.lock:
            value = target
            if message:
                tag = Tag()
                tag.name, tag.message = name.encode(), message.encode()
                tag.tagger = _identity(author)
                tag.tag_time, tag.tag_timezone = int(time.time()), 0
                tag.object = (Commit, target.encode())
                self._repo.object_store.add_object(tag)
                value = tag.id.decode()
            self.set_ref(f"refs/tags/{name}", value, expected=None)

    def resolve(self, revision: str) -> str:
        """The commit that a branch, tag, `refs/...` name or commit id stands for.

        Raises:
            Refusal: 404 RevisionNotFound.
        """
        with self.lock:
            if revision.startswith("refs/"):
                number = pull_request_number(revision)
                known = number is not None or revision.startswith(("refs/heads/", "refs/tags/"))
                candidates = [revision] if known else []
            else:
                candidates = [f"refs/heads/{revision}", f"refs/tags/{revision}"]
            refs = self._repo.get_refs()
            for candidate in candidates:
                if (value := refs.get(candidate.encode())) is not None:
                    return self._peel(value)
            if is_commit_prefix(revision) and len(revision) >= 7:
                found = [
                    oid
                    for oid in self._repo.object_store.iter_prefix(revision.encode())
                    if isinstance(self._repo.object_store[oid], Commit)
                ]
                if len(found) == 1:
                    return str(found[0].decode())
        raise revision_not_found(revision)

    def _peel(self, value: bytes) -> str:
        target = self._repo.object_store[value]
        while isinstance(target, Tag):
            target = self._repo.object_store[target.object[1]]
        return str(target.id.decode())

    # Objects

    def blob(self, oid: str) -> bytes:
        """A blob's content."""
        with self.lock:
            return bytes(self._repo.object_store[oid.encode()].as_raw_string())

    def add_blob(self, content: bytes) -> str:
        """Store a blob and return its id."""
        blob = Blob.from_string(content)
        with self.lock:
            self._repo.object_store.add_object(blob)
        return str(blob.id.decode())

    def write_commit(
        self,
        files: Mapping[str, str],
        *,
        parents: Sequence[str],
        title: str,
        author: str,
        message: str = "",
    ) -> str:
        """Write a commit of exactly these files (path to blob id); no ref moves."""
        commit = Commit()
        commit.parents = [parent.encode() for parent in parents]
        commit.author = commit.committer = _identity(author)
        commit.commit_time = commit.author_time = int(time.time())
        commit.commit_timezone = commit.author_timezone = 0
        commit.encoding = b"UTF-8"
        commit.message = (f"{title}\n\n{message}" if message else title).encode("utf-8")
        with self.lock:
            store = self._repo.object_store
            commit.tree = commit_tree(
                store, [(path.encode(), oid.encode(), _FILE_MODE) for path, oid in files.items()]
            )
            store.add_object(commit)
        return str(commit.id.decode())

    def snapshot(self, commit: str) -> Snapshot:
        """Every file and folder of a commit."""
        with self.lock:
            if (known := self._snapshots.get(commit)) is not None:
                self._snapshots.move_to_end(commit)
                return known
            files: dict[str, FileEntry] = {}
            folders: dict[str, str] = {}
            tree = self._repo.object_store[commit.encode()].tree
            for path, oid, is_folder in self._walk(tree, ""):
                if is_folder:
                    folders[path] = oid.decode()
                    continue
                size_bytes, pointer = self._facts(oid)
                files[path] = FileEntry(path, oid.decode(), size_bytes, pointer)
            made = Snapshot(commit, dict(sorted(files.items())), dict(sorted(folders.items())))
            self._snapshots[commit] = made
            if len(self._snapshots) > _SNAPSHOTS_KEPT:
                self._snapshots.popitem(last=False)
            return made

    def _walk(self, tree: bytes, prefix: str) -> Iterator[tuple[str, bytes, bool]]:
        for item in self._repo.object_store[tree].items():
            path = prefix + item.path.decode("utf-8")
            is_folder = bool(item.mode & 0o040000) and not item.mode & 0o100000
            yield path, item.sha, is_folder
            if is_folder:
                yield from self._walk(item.sha, f"{path}/")

    def _facts(self, oid: bytes) -> tuple[int, Pointer | None]:
        if oid not in self._blob_facts:
            content = self._repo.object_store[oid].as_raw_string()
            self._blob_facts[oid] = (len(content), parse_pointer(content))
        return self._blob_facts[oid]

    # History

    def record(self, commit: str) -> CommitRecord:
        """What the history says about one commit."""
        with self.lock:
            found = self._repo.object_store[commit.encode()]
        title, _, message = found.message.decode("utf-8", "replace").partition("\n")
        return CommitRecord(
            oid=commit,
            tree=found.tree.decode(),
            parents=tuple(parent.decode() for parent in found.parents),
            title=title,
            message=message.strip("\n"),
            author=found.author.decode("utf-8", "replace").partition(" <")[0],
            date=datetime.fromtimestamp(found.commit_time, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        )

    def history(self, commit: str) -> Iterator[CommitRecord]:
        """A commit and its ancestors, newest first, following first parents.

        All commits made here have at most one parent, so nothing is left out.
        """
        following: str | None = commit
        while following is not None:
            record = self.record(following)
            yield record
            following = record.parents[0] if record.parents else None

    def diff(self, old: str, new: str) -> str:
        """The changes between two commits as a git patch."""
        with self.lock:
            store = self._repo.object_store
            trees = [store[commit.encode()].tree for commit in (old, new)]
            patch = io.BytesIO()
            write_tree_diff(patch, store, *trees)
        return patch.getvalue().decode("utf-8", "replace")


def _identity(author: str) -> bytes:
    return f"{author} <{author}@users.noreply.localhost>".encode()


def _names_collide(one: str, other: str) -> bool:
    """Whether two refs cannot both be files: same name but for case, or one inside the other."""
    a, b = one.casefold(), other.casefold()
    return (a == b and one != other) or a.startswith(f"{b}/") or b.startswith(f"{a}/")
