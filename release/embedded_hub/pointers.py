"""Git LFS pointers: the few lines that stand for a large file in the git repository.

Source: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize ([0-9]+)\n"
)
MAX_POINTER_SIZE = 1024


@dataclass(frozen=True)
class Pointer:
    """A large file: its digest and its size."""

    sha256: str
    size_bytes: int

    def to_bytes(self) -> bytes:
        """The pointer file's content."""
        return (
            "version https://git-lfs.github.com/spec/v1\n"
            f"oid sha256:{self.sha256}\n"
            f"size {self.size_bytes}\n"
        ).encode("ascii")


def parse_pointer(content: bytes) -> Pointer | None:
    """The large file that a blob stands for, None if it is an ordinary file."""
    if len(content) > MAX_POINTER_SIZE or not (match := _POINTER.fullmatch(content)):
        return None
    return Pointer(sha256=match[1].decode(), size_bytes=int(match[2]))
