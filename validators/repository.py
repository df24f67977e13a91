"""One way to read an SAE repository, whether it is a local folder or a revision on a Hub.

Paths are relative POSIX paths (`path_in_repo`). Every read has a bound, so that a hostile file
costs no more than its bound; weights are read by range, or fetched whole only when asked.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from manifests.errors import ReleaseError
from validators.safetensors_header import (
    LENGTH_BYTES,
    SafetensorsHeader,
    header_length,
    parse_header,
)

MAX_JSON_BYTES = 8_000_000
_FIRST_READ_BYTES = 65_536


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
    """

    name: str
    location: str
    files: Mapping[str, int]
    refused: tuple[str, ...] = ()

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
        """A small JSON file, read strictly: no duplicate keys, no NaN, no infinity.

        Raises:
            UnreadableFile: it is missing, too long, or not such JSON.
        """
        text = self.read_text(path)
        try:
            return json.loads(
                text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant
            )
        except RecursionError:
            raise UnreadableFile("is nested too deeply", where=path, expected="JSON") from None
        except ValueError as error:
            raise UnreadableFile(
                f"is not valid JSON: {error}",
                where=path,
                expected="one JSON document without duplicate keys",
            ) from error

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
    """Whether a path_in_repo names a place below the repository, on Windows too."""
    parts = path.split("/")
    return not {"", ".", ".."} & set(parts) and not set("\\:") & set(path)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"the key {twice[0]!r} stands twice in one object")
    return result


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")
