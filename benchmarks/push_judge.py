"""A small release of random bytes, and what the Hub's history and tree say about a push of it."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from release.hub_connection import HubConnection
from release.publishing.release_files import ReleaseFile, describe_file

State = Literal["untouched", "one", "else"]
GIVEN_BY_THE_HUB = ".gitattributes"


@dataclass(frozen=True)
class Verdict:
    """What `main` holds: nothing of the release, one commit with all of it, or anything else."""

    state: State
    said: str = ""
    tags: tuple[str, ...] = ()


def write_release(folder: Path, numbers: random.Random, sizes: tuple[int, ...]) -> None:
    """An SAE of random bytes for each size, with a card and an index."""
    contents = {
        "README.md": b"---\nlicense: mit\n---\n# %d\n" % numbers.getrandbits(64),
        "config.json": b'{"saes": %d}' % numbers.getrandbits(64),
    }
    for number, size_bytes in enumerate(sizes):
        contents[f"sae_{number}/cfg.json"] = b'{"k": %d}' % numbers.getrandbits(64)
        contents[f"sae_{number}/sae_weights.safetensors"] = numbers.randbytes(size_bytes)
    for name, content in contents.items():
        path = folder / Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def described(folder: Path) -> dict[str, ReleaseFile]:
    """Every file of a folder as a push takes it."""
    names = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return {name: describe_file(name, path) for name, path in names.items()}


def judge(
    repo_id: str, folder: Path, connection: HubConnection, n_commits_before: int = 1
) -> Verdict:
    """Compare `main` with the files of a folder, by digests that are computed here.

    `n_commits_before` are those that `main` has without the push; the Hub itself makes the first.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    api = connection.api()
    try:
        history = [commit.commit_id for commit in api.list_repo_commits(repo_id)]
    except RepositoryNotFoundError:
        return Verdict("untouched")
    wanted = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    # A request of a killed process may still be at work: history and tree are of one commit.
    wrong = _differences(repo_id, history[0], wanted, connection)
    tags = tuple(sorted(tag.name for tag in api.list_repo_refs(repo_id).tags))
    if len(history) == n_commits_before and wrong == sorted(wanted):
        return Verdict("untouched", tags=tags)
    if len(history) == n_commits_before + 1 and not wrong:
        return Verdict("one", tags=tags)
    return Verdict(
        "else", f"{len(history) - n_commits_before} commits, of other content: {wrong}", tags
    )


def _differences(
    repo_id: str, revision: str, wanted: dict[str, bytes], connection: HubConnection
) -> list[str]:
    """Paths that are missing, foreign, or of other bytes at a revision."""
    from huggingface_hub.hf_api import RepoFile

    there: dict[str, str] = {}
    large: set[str] = set()
    for entry in connection.api().list_repo_tree(repo_id, revision=revision, recursive=True):
        if isinstance(entry, RepoFile) and entry.path != GIVEN_BY_THE_HUB:
            there[entry.path] = entry.lfs.sha256 if entry.lfs else entry.blob_id
            large |= {entry.path} if entry.lfs else set()
    digests = {
        path: hashlib.sha256(content).hexdigest() if path in large else _git_oid(content)
        for path, content in wanted.items()
    }
    return sorted(
        path for path in there.keys() | digests.keys() if there.get(path) != digests.get(path)
    )


def _git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
