"""The tensors of a safetensors file as numpy arrays, without torch and without trusting the file.

What numpy has no type for is widened to float32, which holds every value of those formats exactly:
bfloat16 (the upper half of a float32), and the two 8-bit floats of the OCP specification OFP8
(E5M2 with infinities, E4M3 without).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from manifests.errors import ReleaseError
from validators.reading.safetensors_header import (
    LENGTH_BYTES,
    SafetensorsHeader,
    TensorInfo,
    header_length,
)

Array = NDArray[Any]

# Types that numpy has; all little-endian, as the format says.
_STORED = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}


class UnreadableTensors(ReleaseError):
    """Tensors that do not lie where the header says, or whose number format has no reading."""

    exit_code = 1


def read_tensors(path: Path, header: SafetensorsHeader) -> dict[str, Array]:
    """Every tensor of a file, by name in sorted order, copied into memory.

    Copied rather than mapped: a mapped file can't be deleted on Windows, and a file that is cut
    while it is mapped ends the process instead of raising an error.

    Args:
        path: the file.
        header: what `safetensors_header.parse_header` made of the same file's start.

    Returns:
        Arrays as stored; BF16 and 8-bit floats as float32.

    Raises:
        MalformedSafetensors: the first bytes are no safetensors file.
        UnreadableTensors: the file no longer has the extent that its header gave, or a dtype has
            no reading here.
    """
    for name, info in header.tensors.items():
        _need_readable(name, info, path)
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        length = header_length(file.read(LENGTH_BYTES), size_bytes=size_bytes, where=path.name)
        start = LENGTH_BYTES + length
        end = start + max((info.end for info in header.tensors.values()), default=0)
        if size_bytes != end:
            raise UnreadableTensors(
                f"is {size_bytes} bytes long",
                where=path.name,
                expected=f"{end} bytes, by its own header",
                next_step="copy or download the file again",
            )
        return {
            name: _read(file, info, start=start, where=f"{path.name}: {name}")
            for name, info in sorted(header.tensors.items())
        }


def _need_readable(name: str, info: TensorInfo, path: Path) -> None:
    if info.dtype not in _STORED and info.dtype not in ("BF16", "F8_E5M2", "F8_E4M3"):
        raise UnreadableTensors(
            f"is stored as {info.dtype}, which has no reading here",
            where=f"{path.name}: {name}",
            expected=f"one of {', '.join((*_STORED, 'BF16', 'F8_E5M2', 'F8_E4M3'))}",
            next_step="write the weights as F32 or BF16",
        )


def _read(file: BinaryIO, info: TensorInfo, *, start: int, where: str) -> Array:
    file.seek(start + info.begin)
    n_bytes = info.end - info.begin
    content = bytearray(n_bytes)
    if file.readinto(content) != n_bytes:  # type: ignore[attr-defined]
        raise UnreadableTensors(
            "ends before its data does",
            where=where,
            expected=f"{n_bytes} bytes",
            next_step="copy or download the file again",
        )
    return _decoded(np.frombuffer(content, dtype=np.uint8), info.dtype).reshape(info.shape)


def _decoded(raw: NDArray[np.uint8], dtype: str) -> Array:
    if dtype == "BF16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype == "F8_E5M2":
        return (raw.astype(np.uint16) << 8).view(np.float16).astype(np.float32)
    if dtype == "F8_E4M3":
        return _e4m3_values()[raw]
    if dtype == "BOOL":
        # Any other byte than 0 and 1 would be an invalid numpy boolean.
        return np.asarray(raw != 0)
    return raw.view(_STORED[dtype])


def _e4m3_values() -> NDArray[np.float32]:
    """The values of all 256 bytes: sign, exponent (4 bits, bias 7), mantissa (3 bits)."""
    byte = np.arange(256)
    exponent, mantissa = (byte >> 3) & 15, byte & 7
    magnitude = np.where(
        exponent == 0, mantissa / 8 * 2.0**-6, (1 + mantissa / 8) * 2.0 ** (exponent - 7)
    )
    magnitude[(byte & 0x7F) == 0x7F] = np.nan
    return np.where(byte & 0x80, -magnitude, magnitude).astype(np.float32)
