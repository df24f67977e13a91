"""The repositories of a hub: created, found, renamed, deleted.

Each lies in a folder with a random name, so neither a repository's name nor a rename touches the
file system. `repository.json` is written last and deleted first: a folder without it is what a
kill left of a creation or a deletion, and is removed at start-up.
"""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from release.embedded_hub.errors import Refusal
from release.embedded_hub.git_store import GitStore
from release.embedded_hub.state_files import read_json, remove_folder, write_json
from release.embedded_hub.upload_rules import DEFAULT_GITATTRIBUTES


def now() -> str:
    """The time as the Hub writes it, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Repository:
    """One repository: its settings and discussions in JSON, its files in git."""

    def __init__(self, folder: Path, git: GitStore, facts: dict[str, Any]) -> None:
        self.folder = folder
        self.git = git
        self._facts = facts

    @property
    def kind(self) -> str:
        """`model`, `dataset` or `space`."""
        return str(self._facts["kind"])

    @property
    def repo_id(self) -> str:
        """`namespace/name`, spelled as it was created."""
        return str(self._facts["id"])

    @property
    def namespace(self) -> str:
        """The user or organisation that owns it."""
        return self.repo_id.partition("/")[0]

    @property
    def created_at(self) -> str:
        """When it was created."""
        return str(self._facts["createdAt"])

    @property
    def is_private(self) -> bool:
        """Whether only members of the namespace see it."""
        return bool(self._facts["private"])

    @property
    def gated(self) -> str | bool:
        """False, or `auto` or `manual`."""
        return self._facts["gated"]  # type: ignore[no-any-return]

    @property
    def discussions(self) -> list[dict[str, Any]]:
        """Discussions and pull requests by number; call `save` after a change."""
        return self._facts["discussions"]  # type: ignore[no-any-return]

    def update(self, **changes: Any) -> None:
        """Change facts and save them."""
        with self.git.lock:
            self._facts.update(changes)
            self.save()

    def save(self) -> None:
        """Write `repository.json`."""
        with self.git.lock:
            write_json(self.folder / "repository.json", self._facts)


class Repositories:
    """All repositories of one hub, found by kind and name without regard to case."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "repositories"
        self._folder.mkdir(exist_ok=True)
        self._lock = threading.RLock()
        self._known: dict[tuple[str, str], Repository] = {}
        for folder in sorted(self._folder.iterdir()):
            facts = read_json(folder / "repository.json")
            if facts is None:
                remove_folder(folder)
                continue
            self._add(Repository(folder, GitStore(folder / "git"), facts))

    def _add(self, repository: Repository) -> None:
        self._known[repository.kind, repository.repo_id.lower()] = repository

    def close(self) -> None:
        """Close every git repository."""
        for repository in self._known.values():
            repository.git.close()

    def find(self, kind: str, repo_id: str) -> Repository | None:
        """The repository of this name, None if there is none."""
        with self._lock:
            return self._known.get((kind, repo_id.lower()))

    def all(self, kind: str) -> list[Repository]:
        """All repositories of a kind, the newest first."""
        with self._lock:
            known = [found for found in self._known.values() if found.kind == kind]
        return sorted(known, key=lambda found: (found.created_at, found.repo_id), reverse=True)

    def create(self, kind: str, repo_id: str, *, private: bool, author: str) -> Repository:
        """A new repository with the Hub's initial commit.

        Raises:
            Refusal: 409, the name is taken.
        """
        with self._lock:
            self._refuse_taken(kind, repo_id)
            folder = self._folder / uuid.uuid4().hex
            folder.mkdir()
            git = GitStore.create(
                folder / "git", first_files={".gitattributes": DEFAULT_GITATTRIBUTES}, author=author
            )
            facts = {
                "kind": kind,
                "id": repo_id,
                "createdAt": now(),
                "private": private,
                "gated": False,
                "discussions": [],
            }
            repository = Repository(folder, git, facts)
            repository.save()
            self._add(repository)
            return repository

    def rename(self, repository: Repository, repo_id: str) -> None:
        """Give a repository another name, in the same namespace or in another.

        Raises:
            Refusal: 409, the name is taken.
        """
        with self._lock:
            if repo_id.lower() != repository.repo_id.lower():
                self._refuse_taken(repository.kind, repo_id)
            del self._known[repository.kind, repository.repo_id.lower()]
            repository.update(id=repo_id)
            self._add(repository)

    def delete(self, repository: Repository) -> None:
        """Remove a repository and its history; large files stay, others may use them."""
        with self._lock, repository.git.lock:
            del self._known[repository.kind, repository.repo_id.lower()]
            (repository.folder / "repository.json").unlink()
            repository.git.close()
            remove_folder(repository.folder)

    def _refuse_taken(self, kind: str, repo_id: str) -> None:
        if self.find(kind, repo_id) is not None:
            raise Refusal(409, f"You already created this {kind} repo: {repo_id}")
