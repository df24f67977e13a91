"""The header of a safetensors file, read defensively: nothing in it is believed unchecked.

Layout: 8 bytes with the header's length N (little-endian), N bytes of JSON, then the tensors.
Source: the safetensors format, https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from manifests.errors import ReleaseError

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000
MAX_RANK = 16

# Bits by safetensors dtype.
DTYPE_BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
FLOAT_DTYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}


class MalformedSafetensors(ReleaseError):
    """A safetensors file whose header is damaged, or that is cut short."""

    exit_code = 1


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of the header; `begin` and `end` count from the start of the data."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class SafetensorsHeader:
    """All tensors of a file, by name in sorted order, and the free-form metadata."""

    tensors: dict[str, TensorInfo]
    metadata: dict[str, str]


def header_length(content: bytes, *, size_bytes: int, where: str) -> int:
    """Length of the JSON header in bytes, from the first 8 bytes of the file.

    Raises:
        MalformedSafetensors: the file is too short, or the length is impossible.
    """
    if content.startswith(b"version https://git-lfs"):
        raise MalformedSafetensors(
            "is a Git LFS pointer, not the weights",
            where=where,
            expected="the weights themselves",
            next_step="run `git lfs pull` in the folder",
        )
    if size_bytes < LENGTH_BYTES or len(content) < LENGTH_BYTES:
        raise MalformedSafetensors(
            f"is {size_bytes} bytes long", where=where, expected="at least 8 bytes"
        )
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    if length > min(size_bytes - LENGTH_BYTES, MAX_HEADER_BYTES) or length < 2:
        raise MalformedSafetensors(
            f"says that its header is {length} bytes long, in a file of {size_bytes} bytes",
            where=where,
            expected="a safetensors file",
            next_step="write the weights again with safetensors, or download them again",
        )
    return length


def parse_header(content: bytes, *, size_bytes: int, where: str) -> SafetensorsHeader:
    """Parse the start of a safetensors file.

    Args:
        content: the file from its first byte to at least the end of the header.
        size_bytes: size of the whole file.
        where: the file's name, for errors.

    Raises:
        MalformedSafetensors: the JSON is damaged, a tensor has an unknown dtype, an impossible
            shape or offsets outside the file, or tensors overlap or leave gaps.
    """
    length = header_length(content, size_bytes=size_bytes, where=where)
    raw = content[LENGTH_BYTES : LENGTH_BYTES + length]
    if len(raw) < length:
        raise MalformedSafetensors("is cut within its header", where=where, expected="all of it")
    try:
        data = json.loads(raw.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise MalformedSafetensors(
            f"has a header that is not JSON: {error}", where=where, expected="a JSON object"
        ) from error
    if not isinstance(data, dict):
        raise MalformedSafetensors("has a header that is no JSON object", where=where)
    metadata = data.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise MalformedSafetensors("has __metadata__ that does not map to text", where=where)
    tensors = {name: _tensor(name, data[name], where) for name in sorted(data)}
    _check_extent(tensors, size_bytes - LENGTH_BYTES - length, where)
    return SafetensorsHeader(tensors=tensors, metadata=metadata)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return result


def _tensor(name: str, entry: Any, where: str) -> TensorInfo:
    """One entry `{"dtype": ..., "shape": [...], "data_offsets": [begin, end]}`."""
    where = f"{where}: {name}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise MalformedSafetensors("is not described by dtype, shape and data_offsets", where=where)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise MalformedSafetensors(
            f"has the unknown dtype {dtype!r:.40}",
            where=where,
            expected=f"one of {', '.join(DTYPE_BITS)}",
        )
    if not _is_list_of_sizes(shape) or len(shape) > MAX_RANK:
        raise MalformedSafetensors(f"has the impossible shape {shape!r:.60}", where=where)
    if not _is_list_of_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise MalformedSafetensors(f"has the impossible offsets {offsets!r:.60}", where=where)
    n_elements = 1
    for size in shape:
        n_elements *= size
    if (offsets[1] - offsets[0]) * 8 != n_elements * DTYPE_BITS[dtype]:
        raise MalformedSafetensors(
            f"has {offsets[1] - offsets[0]} bytes of data",
            where=where,
            expected=f"{n_elements * DTYPE_BITS[dtype] // 8} bytes for {dtype} {tuple(shape)}",
        )
    return TensorInfo(dtype=dtype, shape=tuple(shape), begin=offsets[0], end=offsets[1])


def _is_list_of_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 1 << 62
        for item in value
    )


def _check_extent(tensors: dict[str, TensorInfo], data_bytes: int, where: str) -> None:
    """The tensors fill the data exactly: no overlap, no gap, nothing missing at the end."""
    position = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != position:
            kind = "overlaps the tensor before it" if tensor.begin < position else "follows a gap"
            raise MalformedSafetensors(
                kind, where=f"{where}: {name}", expected=f"data from byte {position} on"
            )
        position = tensor.end
    if position != data_bytes:
        kind = "is cut short" if position > data_bytes else "has bytes after its last tensor"
        raise MalformedSafetensors(
            f"{kind}: {data_bytes} bytes of tensor data",
            where=where,
            expected=f"{position} bytes, by its own header",
            next_step="copy or download the file again",
        )
