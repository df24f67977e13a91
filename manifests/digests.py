"""SHA-256 digests of files and of JSON values, the names by which stages refer to their inputs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

_CHUNK_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in chunks of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def bytes_sha256(content: bytes) -> str:
    """Hex SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def canonical_json(value: Any) -> bytes:
    """The one JSON encoding that is digested: sorted keys, no spaces, UTF-8, finite numbers.

    Equal values have equal bytes: `canonical_json(json.loads(canonical_json(v)))` is
    `canonical_json(v)`.

    Raises:
        ValueError: the value holds NaN or an infinity, which JSON cannot state.
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8")


def json_sha256(value: Any) -> str:
    """Hex SHA-256 of the canonical JSON of a value."""
    return bytes_sha256(canonical_json(value))
