"""Files of a folder as if they lay in a repository on a Hub, among those that it has there."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from manifests.build_folder import SAE_WEIGHTS
from validators.reading.local_repository import LocalRepository
from validators.reading.repository import Repository


class OverlaidRepository(Repository):
    """A folder, and those files of another repository that the folder lacks.

    It is called what the folder is called.
    """

    def __init__(
        self, folder: LocalRepository, beneath: Repository, paths: Collection[str]
    ) -> None:
        """Show the folder's files, and of `beneath` the named ones that it has."""
        self._folder, self._beneath = folder, beneath
        below = {path: size for path, size in beneath.files.items() if path in paths}
        self.files = dict(sorted({**below, **folder.files}.items()))
        self.name, self.location = folder.name, folder.location
        self.refused, self.unreadable = folder.refused, folder.unreadable

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """From the folder where it has the file."""
        return self._of(path).read_range(path, start, length)

    def fetch(self, path: str) -> Path:
        """From the folder where it has the file."""
        return self._of(path).fetch(path)

    def sha256(self, path: str) -> str:
        """Of the folder's file where it has it."""
        return self._of(path).sha256(path)

    def sha256_is_cheap(self, path: str) -> bool:
        """As whichever has the file says."""
        return self._of(path).sha256_is_cheap(path)

    def prefetch(self, paths: Iterable[str]) -> None:
        """Of what lies elsewhere, but for weights: few checks of a card ask for their headers."""
        far = [path for path in paths if path not in self._folder.files]
        self._beneath.prefetch([path for path in far if not path.endswith(SAE_WEIGHTS)])

    def _of(self, path: str) -> Repository:
        return self._folder if path in self._folder.files else self._beneath
