"""A Hub that serves the repository under check, to load from it as users do.

Checks ask for it; who serves is decided above this package, which knows of no server.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from validators.reading.repository import Repository


@dataclass(frozen=True)
class ServedRepository:
    """Where the files can be had.

    Attributes:
        endpoint: the Hub's URL, for HF_ENDPOINT.
        repo_id: `owner/name` on that Hub.
        is_copy: the Hub holds nothing but this repository, so base models are not there.
        cache_dir: where the files were downloaded to before; None: start with an empty cache.
        commit: what the head of `repo_id` means, as an oid; None: the head.
        token: for a repository that is not public; None: nothing is sent.
    """

    endpoint: str
    repo_id: str
    is_copy: bool
    cache_dir: Path | None = None
    commit: str | None = None
    token: str | None = field(default=None, repr=False)


class HubAccess(Protocol):
    """Serves files of a repository on the head of `repo_id`."""

    def __call__(
        self, repository: Repository, *, repo_id: str, paths: Collection[str]
    ) -> AbstractContextManager[ServedRepository]:
        """Serve at least these paths, with the bytes that the repository has, while entered.

        Raises:
            HubUnavailable: the Hub does not answer.
        """
        ...
