"""Weights into a safetensors file from numpy, which has no bfloat16 of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_STORED = {
    "BOOL": "?",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "I8": "i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "U8": "u1",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
}
WRITABLE = frozenset({*_STORED, "BF16"})
_HEADER_ALIGNMENT = 8


def safetensors_content(
    tensors: Mapping[str, npt.NDArray[Any]], dtypes: Mapping[str, str]
) -> bytes:
    """The bytes of a safetensors file; the same for the same values, whatever their order.

    Args:
        tensors: values by name.
        dtypes: the safetensors dtype to store each in, one of `WRITABLE`; values are rounded to
            the nearest, ties to even.
    """
    entries: dict[str, dict[str, object]] = {}
    parts: list[bytes] = []
    position = 0
    # Wide types first, so that every tensor begins at a multiple of its own width.
    for name in sorted(tensors, key=lambda name: (-_width(dtypes[name]), name)):
        content = _encoded(tensors[name], dtypes[name])
        end = position + len(content)
        entries[name] = {
            "dtype": dtypes[name],
            "shape": list(tensors[name].shape),
            "data_offsets": [position, end],
        }
        parts.append(content)
        position = end
    header = json.dumps(entries, separators=(",", ":")).encode("utf-8")
    header += b" " * (-len(header) % _HEADER_ALIGNMENT)
    return b"".join([len(header).to_bytes(8, "little"), header, *parts])


def stored_dtype(values: npt.NDArray[Any]) -> str:
    """The safetensors dtype that holds an array as it is."""
    return next(name for name, code in _STORED.items() if np.dtype(code) == values.dtype)


def _width(dtype: str) -> int:
    return 2 if dtype == "BF16" else np.dtype(_STORED[dtype]).itemsize


def _encoded(values: npt.NDArray[Any], dtype: str) -> bytes:
    if dtype != "BF16":
        return np.ascontiguousarray(values).astype(_STORED[dtype]).tobytes()
    single = np.ascontiguousarray(values, dtype=np.float32)
    bits = single.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))) >> 16
    # Rounding up the bits of a NaN could make it an infinity.
    quiet_nan = (bits >> 16) | np.uint32(0x40)
    return np.where(np.isnan(single), quiet_nan, rounded).astype("<u2").tobytes()
