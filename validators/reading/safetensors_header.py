"""The header of a safetensors file, read defensively: nothing in it is believed unchecked.

Layout: 8 bytes with the header's length N (little-endian), N bytes of JSON, then the tensors.
Source: the safetensors format, https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from manifests.errors import ReleaseError
from validators.presenting.printable import is_printable, name_of
from validators.reading.strict_json import JsonProblem, parse_json

LENGTH_BYTES = 8
# The format allows 100 MB, which as Python objects are gigabytes. An SAE has about ten tensors,
# a few hundred bytes; the headers of whole language models stay below a megabyte.
MAX_HEADER_BYTES = 10_000_000
MAX_TENSORS = 10_000
MAX_RANK = 16
MAX_NAME_CHARACTERS = 500

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
        kind = _other_kind(content)
        if kind is not None:
            raise MalformedSafetensors(
                f"is {kind} under the name of a safetensors file",
                where=where,
                expected="tensors as safetensors, which hold no code",
                next_step="write the tensors with `safetensors.torch.save_file`",
            )
        raise MalformedSafetensors(
            f"says that its header is {length} bytes long, in a file of {size_bytes} bytes",
            where=where,
            expected=f"at most the rest of the file, and {MAX_HEADER_BYTES} bytes",
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
        data = parse_json(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedSafetensors(
            f"has a header that is not JSON: not UTF-8 at byte {error.start}",
            where=where,
            expected="a JSON object",
        ) from error
    except JsonProblem as error:
        raise MalformedSafetensors(
            f"has a header that is not JSON it can be: it {error.what}",
            where=where,
            expected="a JSON object that names the few tensors of an SAE",
            next_step="write the weights again with safetensors",
        ) from error
    if not isinstance(data, dict):
        raise MalformedSafetensors("has a header that is no JSON object", where=where)
    metadata = data.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise MalformedSafetensors("has __metadata__ that does not map to text", where=where)
    if len(data) > MAX_TENSORS:
        raise MalformedSafetensors(
            f"names {len(data)} tensors", where=where, expected=f"at most {MAX_TENSORS}"
        )
    odd = [name for name in data if len(name) > MAX_NAME_CHARACTERS or not is_printable(name)]
    if odd:
        raise MalformedSafetensors(
            f"names a tensor {name_of(odd[0]):.100}",
            where=where,
            expected=f"names on one line, of at most {MAX_NAME_CHARACTERS} characters",
            next_step="write the weights again with safetensors, under plain names",
        )
    tensors = {name: _tensor(name, data[name], where) for name in sorted(data)}
    _check_extent(tensors, size_bytes - LENGTH_BYTES - length, where)
    return SafetensorsHeader(tensors=tensors, metadata=metadata)


def _other_kind(content: bytes) -> str | None:
    """What a file is that starts like a pickle, or like the archive that `torch.save` writes."""
    if content.startswith(b"PK\x03\x04"):
        return "a zip archive, as torch.save and numpy write them,"
    # The opcode PROTO, and a protocol that Python has written since 2003.
    if content[:1] == b"\x80" and 2 <= content[1] <= 5:
        return "a pickle, which runs code when it is opened,"
    return None


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
