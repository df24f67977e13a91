"""A repository that is a folder on this machine, listed and read without leaving it."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from pathlib import Path

from validators.presenting.printable import is_printable, name_of
from validators.reading.repository import (
    NoSuchRepository,
    Repository,
    UnreadableFile,
    stays_inside,
)

# The Hub advises fewer than 100,000 files in a repository, and takes none beyond 500 GB.
MAX_ENTRIES = 200_000
MAX_FOLDER_DEPTH = 32
MAX_FILE_BYTES = 500_000_000_000

# On Windows a folder can be mounted in another one, which is_symlink does not tell.
_MOUNT_POINT = 0xA0000003
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class TooManyFiles(NoSuchRepository):
    """A folder with more files than a repository has; mostly the wrong folder."""


class LocalRepository(Repository):
    """A folder; links that lead out of it are listed in `refused` and never followed."""

    is_local = True

    def __init__(self, folder: Path) -> None:
        """List the folder.

        Raises:
            NoSuchRepository: there is no such folder.
            TooManyFiles: it holds more than `MAX_ENTRIES` files and folders.
        """
        if not folder.is_dir():
            raise NoSuchRepository(
                "is not a folder" if folder.exists() else "does not exist",
                where=str(folder),
                expected="a folder that holds SAEs",
                next_step="check the path, or make the weights with `release retrain MANIFEST`",
            )
        self._root = folder.resolve()
        self.name = name_of(self._root.name)
        self.location = name_of(str(folder))
        self._files: dict[str, int] = {}
        self._refused: list[str] = []
        self._unreadable: dict[str, str] = {}
        self._list()
        self.files = dict(sorted(self._files.items()))
        self.refused = tuple(sorted(self._refused))
        self.unreadable = dict(sorted(self._unreadable.items()))

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Read from the file directly.

        Raises:
            UnreadableFile: it is missing, leads out of the folder, or the system refuses it.
        """
        file = self.fetch(path)
        try:
            with _opened(file) as stream:
                # A file object reserves what it is asked for before it reads.
                left = os.fstat(stream.fileno()).st_size - start
                if left <= 0:
                    return b""
                stream.seek(start)
                return stream.read(min(length, left))
        except OSError as error:
            raise _refused_by_the_system(path, error) from error

    def fetch(self, path: str) -> Path:
        """The file itself.

        Raises:
            UnreadableFile: it is missing, no plain file, or the path leads out of the folder.
        """
        file = self._root.joinpath(*path.split("/"))
        if path in self.refused or not stays_inside(path) or not self._is_inside(file):
            raise UnreadableFile(
                "leads out of the repository",
                where=name_of(path),
                expected="files that lie in the repository themselves",
                next_step="copy the file into the folder in place of the link",
            )
        if path in self.unreadable:
            raise UnreadableFile(self.unreadable[path], where=path, expected="a plain file")
        if not file.is_file():
            raise UnreadableFile("does not exist", where=path, expected=f"a file in {self._root}")
        return file

    def sha256(self, path: str) -> str:
        """Hash the file.

        Raises:
            UnreadableFile: as for `read_range`.
        """
        file = self.fetch(path)
        try:
            with _opened(file) as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise _refused_by_the_system(path, error) from error

    def sha256_is_cheap(self, path: str) -> bool:
        """A local file can always be hashed."""
        return path in self.files

    def _list(self) -> None:
        """Find the files, folder by folder; no link to a folder is followed."""
        n_entries = 0
        pending: list[tuple[str, Path]] = [("", self._root)]
        while pending:
            prefix, folder = pending.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        n_entries += 1
                        if n_entries > MAX_ENTRIES:
                            raise TooManyFiles(
                                f"holds more than {MAX_ENTRIES} files and folders",
                                where=self.location,
                                expected="the folder of one repository",
                                next_step="name the folder that holds the SAEs",
                            )
                        path = f"{prefix}{entry.name}"
                        if self._is_folder_to_enter(entry, path):
                            pending.append((f"{path}/", Path(entry.path)))
            except OSError as error:
                self._unreadable[prefix.rstrip("/") or "."] = _says(error)

    def _is_folder_to_enter(self, entry: os.DirEntry[str], path: str) -> bool:
        """Sort one entry into files, refused and unreadable; True for a folder to be listed."""
        if not is_printable(path):
            self._unreadable[name_of(path)] = "has a control character or a broken one in its name"
            return False
        try:
            facts = entry.stat(follow_symlinks=False)
            is_mount = getattr(facts, "st_reparse_tag", 0) == _MOUNT_POINT
            if is_mount or not stays_inside(path):
                self._refused.append(path)
                return False
            if entry.is_symlink():
                # A linked folder could form a loop: links lead to files or nowhere.
                target = Path(entry.path)
                if not self._is_inside(target) or not target.is_file():
                    self._refused.append(path)
                    return False
                facts = target.stat()
        except OSError as error:
            self._unreadable[path] = _says(error)
            return False
        if stat.S_ISDIR(facts.st_mode):
            if path.count("/") < MAX_FOLDER_DEPTH:
                return entry.name != ".git"
            self._unreadable[path] = f"lies more than {MAX_FOLDER_DEPTH} folders deep"
        elif not stat.S_ISREG(facts.st_mode):
            kind = _KINDS.get(stat.S_IFMT(facts.st_mode), "something else")
            self._unreadable[path] = f"is {kind}, not a file"
        elif facts.st_size > MAX_FILE_BYTES:
            self._unreadable[path] = f"is {facts.st_size} bytes long, more than {MAX_FILE_BYTES}"
        else:
            self._files[path] = facts.st_size
        return False

    def _is_inside(self, file: Path) -> bool:
        try:
            return file.resolve().is_relative_to(self._root)
        except (OSError, RuntimeError, ValueError):
            # A loop of links, a name too long, a zero byte: it leads to no file of the folder.
            return False


def _opened(file: Path) -> io.BufferedReader:
    """A file opened for reading, and nothing else that took its name since it was listed.

    Raises:
        OSError: it cannot be opened, or is no plain file.
    """
    # Opening a named pipe would wait for a writer that never comes.
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    stream = os.fdopen(os.open(file, flags), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError("is no longer a plain file")
    return stream


def _says(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"


def _refused_by_the_system(path: str, error: OSError) -> UnreadableFile:
    return UnreadableFile(
        _says(error),
        where=path,
        expected="a file that this user may read, and that stays as it is meanwhile",
        next_step="check the file's permissions, and that nothing else writes it",
    )
