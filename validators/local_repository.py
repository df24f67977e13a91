"""A repository that is a folder on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from manifests.digests import file_sha256
from validators.repository import NoSuchRepository, Repository, UnreadableFile


class LocalRepository(Repository):
    """A folder; links that lead out of it are listed in `refused` and never followed."""

    def __init__(self, folder: Path) -> None:
        """List the folder.

        Raises:
            NoSuchRepository: there is no such folder.
        """
        if not folder.is_dir():
            raise NoSuchRepository(
                "is not a folder" if folder.exists() else "does not exist",
                where=str(folder),
                expected="a folder that holds SAEs",
                next_step="check the path, or make the weights with `release retrain MANIFEST`",
            )
        self._root = folder.resolve()
        self.name = self._root.name
        self.location = str(folder)
        files: dict[str, int] = {}
        refused: list[str] = []
        for parent, folders, names in os.walk(self._root, followlinks=False):
            folders[:] = sorted(name for name in folders if name != ".git")
            here = Path(parent)
            linked = [name for name in folders if (here / name).is_symlink()]
            for name in linked:
                # A linked folder could form a loop, or lie elsewhere: it is not walked.
                folders.remove(name)
                refused.append((here / name).relative_to(self._root).as_posix())
            for name in names:
                file = here / name
                path = file.relative_to(self._root).as_posix()
                if self._is_inside(file) and file.is_file():
                    files[path] = file.stat().st_size
                else:
                    refused.append(path)
        self.files = dict(sorted(files.items()))
        self.refused = tuple(sorted(refused))

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Read from the file directly."""
        with self.fetch(path).open("rb") as stream:
            stream.seek(start)
            return stream.read(length)

    def fetch(self, path: str) -> Path:
        """The file itself.

        Raises:
            UnreadableFile: it is missing, or the path leads out of the folder.
        """
        file = self._root.joinpath(*path.split("/"))
        if path in self.refused or ".." in path.split("/") or not self._is_inside(file):
            raise UnreadableFile(
                "leads out of the repository",
                where=path,
                expected="files that lie in the repository themselves",
                next_step="copy the file into the folder in place of the link",
            )
        if not file.is_file():
            raise UnreadableFile("does not exist", where=path, expected=f"a file in {self._root}")
        return file

    def sha256(self, path: str) -> str:
        """Hash the file."""
        return file_sha256(self.fetch(path))

    def sha256_is_cheap(self, path: str) -> bool:
        """A local file can always be hashed."""
        return path in self.files

    def _is_inside(self, file: Path) -> bool:
        return file.resolve().is_relative_to(self._root)
