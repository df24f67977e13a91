"""Serve a repository's files as the head of a repository on a Hub.

SAELens loads the newest revision of a repository on the Hub that HF_ENDPOINT names, and can be
told no other. Where the files under check are not that (a folder, an older revision, a repository
that needs a token), a copy of them is served on loopback, on a Hub that holds nothing else.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.digests import file_sha256
from release.hub_connection import HubConnection, hub_errors_explained
from validators.reading.hub_repository import HubRepository
from validators.reading.repository import Repository
from validators.saelens.hub_access import ServedRepository

if TYPE_CHECKING:
    from release.embedded_hub.commit import Operation
    from release.embedded_hub.hub import Hub
    from release.embedded_hub.upload_rules import UploadRules

_AUTHOR = "sae-release"
_SAMPLE_BYTES = 512


class HubServing:
    """The way in which a command lets its checks load from a Hub (a `HubAccess`)."""

    def __init__(self, connection: HubConnection) -> None:
        """Serve from this connection's Hub where that is the same, else a copy."""
        self._connection = connection

    @contextmanager
    def __call__(
        self, repository: Repository, *, repo_id: str, paths: Collection[str]
    ) -> Iterator[ServedRepository]:
        """The repository itself where its head is public and what is checked; else a copy.

        Raises:
            HubUnavailable: the Hub does not answer.
        """
        if isinstance(repository, HubRepository) and self._is_public_head(repository):
            yield ServedRepository(
                self._connection.endpoint,
                repository.name,
                is_copy=False,
                cache_dir=repository.cache_dir or _default_cache(),
            )
            return
        with served_copy(repository, repo_id=repo_id, paths=paths) as served:
            yield served

    def _is_public_head(self, repository: HubRepository) -> bool:
        with hub_errors_explained(f"reading {repository.name}", self._connection):
            info = self._connection.api().model_info(repository.name)
        return info.sha == repository.oid and not info.private and not info.gated


@contextmanager
def served_copy(
    repository: Repository, *, repo_id: str, paths: Collection[str]
) -> Iterator[ServedRepository]:
    """A Hub on loopback whose only repository holds these files, in a temporary folder.

    Large files are linked there rather than copied where the file system allows it; nothing
    writes to them, and removing the folder removes only the link.

    Args:
        repository: where the files come from; those on another Hub are downloaded first.
        repo_id: the `owner/name` to serve them as.
        paths: the files to serve.
    """
    from release.embedded_hub import EmbeddedHub
    from release.embedded_hub.hub import Hub

    with tempfile.TemporaryDirectory(prefix="sae-release-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        hub = Hub.open(root, xet=False, open_namespaces=True)
        try:
            commit_files(hub, repo_id, {path: repository.fetch(path) for path in sorted(paths)})
        finally:
            hub.close()
        with EmbeddedHub(root, xet=False) as running:
            yield ServedRepository(running.endpoint, repo_id, is_copy=True)


def commit_files(
    hub: Hub, repo_id: str, files: dict[str, Path], *, revision: str | None = None
) -> None:
    """Make a repository on an open Hub whose only commit holds these files, linked if possible.

    Args:
        hub: opened, and not served yet.
        repo_id: what the repository is called.
        files: by path_in_repo.
        revision: a further name for the commit, beside `main`.
    """
    from release.embedded_hub.commit import CommitRequest, write_commit
    from release.embedded_hub.upload_rules import DEFAULT_GITATTRIBUTES, UploadRules

    rules = UploadRules(gitattributes=DEFAULT_GITATTRIBUTES, gitignore=b"")
    operations = [_operation(hub, rules, path, file) for path, file in files.items()]
    served = hub.repositories.create("model", repo_id, private=False, author=_AUTHOR)
    if not operations:
        return
    base = served.git.resolve("main")
    with served.git.lock:
        write_commit(
            served.git,
            CommitRequest(
                summary="the files under check",
                description="",
                parent_commit=base,
                operations=operations,
            ),
            base=base,
            target_ref="refs/heads/main",
            author=_AUTHOR,
            size_of_object=hub.objects.size_bytes,
        )
    if revision is not None and revision != "main":
        named = served.git.resolve("main")
        served.git.add_tag(revision, named, message=None, author=_AUTHOR)


def _operation(hub: Hub, rules: UploadRules, path: str, file: Path) -> Operation:
    from release.embedded_hub.commit import AddFile, AddLargeFile

    size_bytes = file.stat().st_size
    with file.open("rb") as stream:
        sample = stream.read(_SAMPLE_BYTES)
    if not rules.is_large(path, size_bytes=size_bytes, sample=sample):
        return AddFile(path, file.read_bytes())
    sha256 = file_sha256(file)
    target = hub.objects.path(sha256)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file.resolve(), target)
        except OSError:
            # Another drive, or a file system without hard links.
            shutil.copyfile(file, target)
    return AddLargeFile(path, sha256, size_bytes)


def _default_cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)
