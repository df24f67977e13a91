"""Storage behind xet: xorbs (packed chunks) and shards (which chunks make up which file).

Only as much of the formats is read as is needed to answer the client; the chunks stay as they
were sent, and hf_xet puts files together again.
Source: https://huggingface.co/docs/xet (pages "Shard format", "Xorb format", "CAS API").
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from release.embedded_hub.errors import Refusal
from release.embedded_hub.state_files import retry_while_open_elsewhere

_HASH = re.compile(r"[0-9a-f]{64}")
_RECORD_SIZE = 48
_SHARD_TAG = b"HFRepoMetaData\0"
_CHUNK_HEADER_SIZE = 8
_END_OF_FILES = b"\xff" * 32
_HAS_VERIFICATION = 1 << 31
_HAS_SHA256 = 1 << 30


@dataclass(frozen=True)
class Segment:
    """A run of chunks of one xorb; `first_chunk` up to, not including, `end_chunk`."""

    xorb: str
    size_bytes: int
    first_chunk: int
    end_chunk: int


@dataclass(frozen=True)
class XetFile:
    """A file as a sequence of segments, with its xet hash and SHA-256."""

    xet_hash: str
    sha256: str | None
    segments: Sequence[Segment]

    @property
    def size_bytes(self) -> int:
        """The size of the whole file."""
        return sum(segment.size_bytes for segment in self.segments)


def parse_shard(shard: bytes) -> list[XetFile]:
    """The files that a shard describes.

    Raises:
        Refusal: 400, these bytes are not a shard.
    """
    if not shard.startswith(_SHARD_TAG):
        raise Refusal(400, "Not a xet shard")
    records = iter(
        [shard[start : start + _RECORD_SIZE] for start in range(0, len(shard), _RECORD_SIZE)][1:]
    )
    files = []
    try:
        while not (header := next(records)).startswith(_END_OF_FILES):
            flags, n_segments = _u32(header, 32), _u32(header, 36)
            segments = [_segment(next(records)) for _ in range(n_segments)]
            if flags & _HAS_VERIFICATION:
                for _ in range(n_segments):
                    next(records)
            sha256 = _hash_text(next(records)) if flags & _HAS_SHA256 else None
            files.append(XetFile(_hash_text(header), sha256, segments))
    except StopIteration as error:
        raise Refusal(400, "The xet shard ends too early") from error
    return files


def _segment(record: bytes) -> Segment:
    return Segment(_hash_text(record), _u32(record, 36), _u32(record, 40), _u32(record, 44))


def _u32(record: bytes, at: int) -> int:
    return int.from_bytes(record[at : at + 4], "little")


def _hash_text(record: bytes) -> str:
    """A hash as text: four little-endian 64-bit words, each written big end first."""
    return b"".join(record[start : start + 8][::-1] for start in range(0, 32, 8)).hex()


def chunk_offsets(xorb: Path) -> list[int]:
    """Where each chunk of a xorb starts, and where the last one ends.

    Each chunk has an 8-byte header: version, packed length (3 bytes), scheme, length (3 bytes).
    """
    offsets = [0]
    end = xorb.stat().st_size
    with xorb.open("rb") as stream:
        while offsets[-1] < end:
            stream.seek(offsets[-1])
            header = stream.read(_CHUNK_HEADER_SIZE)
            offsets.append(offsets[-1] + _CHUNK_HEADER_SIZE + int.from_bytes(header[1:4], "little"))
    return offsets


class XetStore:
    """Xorbs and shards of one hub under `xet/`, each complete or absent."""

    def __init__(self, root: Path) -> None:
        self._xorbs = root / "xet" / "xorbs"
        self._shards = root / "xet" / "shards"
        self._lock = threading.Lock()
        self._by_hash: dict[str, XetFile] = {}
        self._by_sha256: dict[str, XetFile] = {}
        self._offsets: dict[str, list[int]] = {}
        for folder in (self._xorbs, self._shards):
            folder.mkdir(parents=True, exist_ok=True)
            for leftover in folder.glob("*.part"):
                leftover.unlink()
        for shard in sorted(self._shards.iterdir()):
            self._index(parse_shard(shard.read_bytes()))

    def _index(self, files: Sequence[XetFile]) -> None:
        with self._lock:
            for file in files:
                self._by_hash[file.xet_hash] = file
                if file.sha256 is not None:
                    self._by_sha256[file.sha256] = file

    def of_sha256(self, sha256: str) -> XetFile | None:
        """The file with this content, None if it was not uploaded through xet."""
        with self._lock:
            return self._by_sha256.get(sha256)

    def xorb_path(self, xorb: str) -> Path:
        """Where a xorb lies, or would."""
        if not _HASH.fullmatch(xorb):
            raise Refusal(400, "Invalid xorb hash")
        return self._xorbs / xorb

    def add_xorb(self, xorb: str, content: bytes) -> bool:
        """Keep a xorb; False if it was there."""
        target = self.xorb_path(xorb)
        if target.exists():
            return False
        _write_once(target, content)
        return True

    def add_shard(self, content: bytes) -> None:
        """Keep a shard, after checking that its xorbs are here.

        Raises:
            Refusal: 400, not a shard, or it refers to a xorb that was not uploaded.
        """
        files = parse_shard(content)
        for xorb in {segment.xorb for file in files for segment in file.segments}:
            if not self.xorb_path(xorb).is_file():
                raise Refusal(400, f"The shard refers to xorb {xorb}, which was not uploaded")
        _write_once(self._shards / f"{uuid.uuid4().hex}.shard", content)
        self._index(files)

    def reconstruction(
        self, xet_hash: str, *, start: int, end: int | None, url_of: Callable[[str], str]
    ) -> dict[str, Any]:
        """How to fetch bytes `start` up to and including `end` of a file.

        Raises:
            Refusal: 404, no such file; 416, the range starts after its end.
        """
        with self._lock:
            file = self._by_hash.get(xet_hash)
        if file is None:
            raise Refusal(404, f"No xet file {xet_hash}")
        last = file.size_bytes - 1 if end is None else min(end, file.size_bytes - 1)
        if start > last:
            raise Refusal(416, f"The file has {file.size_bytes} bytes")
        terms: list[dict[str, Any]] = []
        wanted: dict[str, list[tuple[int, int]]] = {}
        skipped = position = 0
        for segment in file.segments:
            if position + segment.size_bytes > start and position <= last:
                if not terms:
                    skipped = start - position
                chunks = {"start": segment.first_chunk, "end": segment.end_chunk}
                terms.append(
                    {"hash": segment.xorb, "unpacked_length": segment.size_bytes, "range": chunks}
                )
                run = (segment.first_chunk, segment.end_chunk)
                wanted.setdefault(segment.xorb, []).append(run)
            position += segment.size_bytes
        fetches = {
            xorb: [self._fetch(xorb, run, url_of(xorb)) for run in disjoint_runs(runs)]
            for xorb, runs in wanted.items()
        }
        return {"offset_into_first_range": skipped, "terms": terms, "fetch_info": fetches}

    def _fetch(self, xorb: str, run: tuple[int, int], url: str) -> dict[str, Any]:
        offsets = self._offsets.get(xorb)
        if offsets is None:
            offsets = self._offsets[xorb] = chunk_offsets(self.xorb_path(xorb))
        first, end = run
        return {
            "range": {"start": first, "end": end},
            "url": url,
            "url_range": {"start": offsets[first], "end": offsets[end] - 1},
        }


def disjoint_runs(runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The runs of chunks that cover all of these, sorted, none of them sharing a chunk.

    hf_xet panics where two ranges to fetch of one xorb overlap. Runs are half open: (0, 1), (0, 2)
    and (3, 4) become (0, 2) and (3, 4).
    """
    joined: list[tuple[int, int]] = []
    for first, end in sorted(runs):
        if joined and first < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((first, end))
    return joined


def _write_once(target: Path, content: bytes) -> None:
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    part.write_bytes(content)
    retry_while_open_elsewhere(lambda: part.replace(target))
