"""Discussions and pull requests as data: events, the three-way merge, the Hub's JSON.

A pull request is a ref `refs/pr/N` and a record in `repository.json`. The ref is made first; after
a kill in between, the number is taken but no list shows it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from release.embedded_hub.errors import Refusal
from release.embedded_hub.git_store import CommitRecord, GitStore
from release.embedded_hub.repositories import Repository, now

Record = dict[str, Any]


def next_number(repository: Repository) -> int:
    """The number of the next discussion; the caller holds the repository's lock."""
    taken = [int(record["num"]) for record in repository.discussions]
    taken += [int(name) for name in repository.git.refs("refs/pr/") if name.isdecimal()]
    return max(taken, default=0) + 1


def open_discussion(
    repository: Repository, *, number: int, title: str, description: str, author: str
) -> Record:
    """Add a discussion."""
    record: Record = {
        "num": number,
        "title": title,
        "status": "open",
        "isPullRequest": False,
        "author": author,
        "createdAt": now(),
        "events": [],
    }
    if description:
        record["events"].append(comment_event(author, description))
    repository.discussions.append(record)
    repository.save()
    return record


def open_pull_request(
    repository: Repository,
    *,
    number: int,
    title: str,
    description: str,
    author: str,
    base: str,
    commit: CommitRecord | None = None,
) -> Record:
    """Add a pull request for the existing ref; without a first commit it is a draft."""
    record = open_discussion(
        repository, number=number, title=title, description=description, author=author
    )
    record |= {"isPullRequest": True, "base": base, "status": "open" if commit else "draft"}
    if commit is not None:
        record["events"].append(commit_event(commit))
    repository.save()
    return record


def find(repository: Repository, number: str) -> Record:
    """A discussion by number.

    Raises:
        Refusal: 404, there is none.
    """
    for record in repository.discussions:
        if str(record["num"]) == number:
            return record
    raise Refusal(404, f"No discussion {number}")


def _event(kind: str, author: str, data: Mapping[str, Any]) -> Record:
    return {
        "id": uuid.uuid4().hex[:24],
        "type": kind,
        "createdAt": now(),
        "author": {"name": author},
        "data": dict(data),
    }


def comment_event(author: str, text: str) -> Record:
    """A comment."""
    latest = {"raw": text, "html": text, "updatedAt": now(), "author": {"name": author}}
    data = {"edited": False, "hidden": False, "latest": latest, "history": [latest]}
    return _event("comment", author, data)


def status_event(author: str, status: str) -> Record:
    """A change of status."""
    return _event("status-change", author, {"status": status})


def title_event(author: str, old: str, new: str) -> Record:
    """A change of title."""
    return _event("title-change", author, {"from": old, "to": new})


def commit_event(commit: CommitRecord) -> Record:
    """A commit on a pull request."""
    return _event("commit", commit.author, {"subject": commit.title, "oid": commit.oid})


@dataclass(frozen=True)
class Merge:
    """Both sides of a pull request put together: the files, or the paths both changed."""

    files: Mapping[str, str]
    conflicts: list[str]


def merge(git: GitStore, *, base: str, ours: str, theirs: str) -> Merge:
    """Three-way merge by whole files; a path that both sides changed differently is a conflict."""
    before, main, branch = (
        {path: file.oid for path, file in git.snapshot(commit).files.items()}
        for commit in (base, ours, theirs)
    )
    files, conflicts = dict(main), []
    for path in sorted(before.keys() | branch.keys()):
        old, new, current = before.get(path), branch.get(path), main.get(path)
        if new in (old, current):
            continue
        if current != old:
            conflicts.append(path)
        elif new is None:
            del files[path]
        else:
            files[path] = new
    return Merge(files, conflicts)


def merge_message(git: GitStore, *, base: str, theirs: str) -> str:
    """The body of a merge, which is one commit: the commits that it puts together, oldest first."""
    lines = []
    for commit in git.history(theirs):
        if commit.oid == base:
            break
        lines.append(f"- {commit.title} ({commit.oid})")
    return "\n".join(reversed(lines))


def summary(repository: Repository, record: Record) -> Record:
    """A discussion in a list."""
    return {
        "num": record["num"],
        "title": record["title"],
        "status": record["status"],
        "isPullRequest": record["isPullRequest"],
        "author": {"name": record["author"]},
        "createdAt": record["createdAt"],
        "repo": {"name": repository.repo_id, "type": repository.kind},
        "numComments": sum(event["type"] == "comment" for event in record["events"]),
    }


def details(repository: Repository, record: Record, *, with_diff: bool) -> Record:
    """A discussion by itself, with its events; a pull request also with changes and conflicts."""
    answer = summary(repository, record) | {"events": record["events"]}
    if not record["isPullRequest"]:
        return answer
    git = repository.git
    theirs, ours = git.ref(f"refs/pr/{record['num']}"), git.ref("refs/heads/main")
    answer["changes"] = {"base": "refs/heads/main"}
    if "mergeCommitId" in record:
        answer["changes"]["mergeCommitId"] = record["mergeCommitId"]
    answer["filesWithConflicts"] = []
    if theirs and ours and record["status"] in {"open", "draft"}:
        answer["filesWithConflicts"] = merge(
            git, base=record["base"], ours=ours, theirs=theirs
        ).conflicts
    if with_diff and theirs:
        answer["diff"] = git.diff(record["base"], theirs)
    return answer
