"""One way to read an SAE repository, whether it is a local folder or a revision on a Hub.

Paths are relative POSIX paths (`path_in_repo`). Every read has a bound, so that a hostile file
costs no more than its bound; weights are read by range, or fetched whole only when asked.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from manifests.errors import ReleaseError
from validators.presenting.printable import is_printable
from validators.reading.safetensors_header import (
    LENGTH_BYTES,
    SafetensorsHeader,
    header_length,
    parse_header,
)
from validators.reading.strict_json import JsonProblem, parse_json

MAX_JSON_BYTES = 8_000_000
_FIRST_READ_BYTES = 2_048

_DRIVE = re.compile(r"(?:^|/)[A-Za-z]:")


class UnreadableFile(ReleaseError):
    """A file of the repository that cannot be read as what its name says it is."""

    exit_code = 1


class NoSuchRepository(ReleaseError):
    """The folder to check does not exist, or is not a folder."""

    exit_code = 2


class HubUnavailable(ReleaseError):
    """The Hub gave no answer, or not the one that was needed."""

    exit_code = 4


class Repository(ABC):
    """Files at one fixed state: a folder, or a commit.

    Attributes:
        name: what reports call it: the folder's name, or `owner/name`.
        location: where it is: the folder's path, or `owner/name@oid`.
        files: size in bytes by path_in_repo, sorted by path.
        refused: paths that lead out of the repository (links, `..`), never read.
        unreadable: why, by path as shown, what lies there is no file that can be read.
        is_local: whether reading a file costs no request.
    """

    name: str
    location: str
    files: Mapping[str, int]
    refused: tuple[str, ...] = ()
    unreadable: Mapping[str, str] = MappingProxyType({})
    is_local: bool = False

    @abstractmethod
    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Up to `length` bytes of a file from byte `start` on; fewer where the file ends."""

    @abstractmethod
    def fetch(self, path: str) -> Path:
        """The file on the local disk, downloaded first where it has to be."""

    @abstractmethod
    def sha256(self, path: str) -> str:
        """Hex SHA-256 of a file."""

    @abstractmethod
    def sha256_is_cheap(self, path: str) -> bool:
        """Whether `sha256` answers without downloading the file."""

    def prefetch(self, paths: Iterable[str]) -> None:  # noqa: B027 - a local folder has no need
        """Make small files and headers quick to read; only a repository far away does anything.

        Raises:
            HubUnavailable: the Hub refused one of them.
        """

    def read_text(self, path: str, *, max_bytes: int = MAX_JSON_BYTES) -> str:
        """A small UTF-8 file.

        Raises:
            UnreadableFile: it is missing, longer than `max_bytes`, or not UTF-8.
        """
        size = self.size_of(path)
        if size > max_bytes:
            raise UnreadableFile(
                f"is {size} bytes long", where=path, expected=f"at most {max_bytes} bytes"
            )
        content = self.read_range(path, 0, max_bytes + 1)
        if len(content) > max_bytes:
            raise UnreadableFile(
                f"is longer than the {size} bytes it was listed with",
                where=path,
                expected=f"at most {max_bytes} bytes",
            )
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UnreadableFile(
                f"is not UTF-8 (byte {error.start})", where=path, expected="UTF-8 text"
            ) from error

    def read_json(self, path: str) -> Any:
        """A small JSON file, read strictly and within bounds (`validators.reading.strict_json`).

        Raises:
            UnreadableFile: it is missing, too long, or not such JSON.
        """
        if path in self._refused_json:
            raise self._refused_json[path].with_traceback(None)
        text = self.read_text(path)
        try:
            return parse_json(text)
        except JsonProblem as error:
            # Every check of an SAE asks for its config; what cost seconds to refuse is not asked
            # for again.
            self._refused_json[path] = UnreadableFile(
                error.what,
                where=path,
                expected="one JSON document of the size and depth of a config, no key twice",
            )
            raise self._refused_json[path] from error

    @cached_property
    def _refused_json(self) -> dict[str, UnreadableFile]:
        return {}

    def read_header(self, path: str) -> SafetensorsHeader:
        """The header of a safetensors file; the tensors are not read.

        Raises:
            MalformedSafetensors: the header cannot be trusted, or the file is cut short.
            UnreadableFile: there is no such file.
        """
        size = self.size_of(path)
        content = self.read_range(path, 0, min(size, _FIRST_READ_BYTES))
        needed = LENGTH_BYTES + header_length(content, size_bytes=size, where=path)
        if needed > len(content):
            content += self.read_range(path, len(content), needed - len(content))
        return parse_header(content, size_bytes=size, where=path)

    def size_of(self, path: str) -> int:
        """Size of a file in bytes.

        Raises:
            UnreadableFile: the repository has no such file.
        """
        try:
            return self.files[path]
        except KeyError:
            raise UnreadableFile(
                "does not exist", where=path, expected=f"a file in {self.location}"
            ) from None


def stays_inside(path: str) -> bool:
    """Whether a path_in_repo names a place below the repository, on every system.

    A backslash and `C:` lead elsewhere on Windows; a control character is part of no honest name,
    and would steer the terminal that shows it.
    """
    if {"", ".", ".."} & set(path.split("/")) or "\\" in path or _DRIVE.search(path):
        return False
    return is_printable(path)
