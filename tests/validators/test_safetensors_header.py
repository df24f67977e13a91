"""The header reader believes nothing that it did not check."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validators.reading.safetensors_header import (
    MalformedSafetensors,
    SafetensorsHeader,
    TensorInfo,
    parse_header,
)


def file_of(header: Any, data: bytes = b"") -> bytes:
    """A safetensors file with the given header, as JSON or as raw bytes."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


def parse(content: bytes) -> SafetensorsHeader:
    return parse_header(content, size_bytes=len(content), where="w.safetensors")


def entry(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_a_sound_header_is_read() -> None:
    content = file_of(
        {"__metadata__": {"by": "me"}, "b": entry("BF16", (2, 2), (8, 16)), "a": entry()},
        bytes(16),
    )
    assert parse(content) == SafetensorsHeader(
        tensors={
            "a": TensorInfo("F32", (2,), 0, 8),
            "b": TensorInfo("BF16", (2, 2), 8, 16),
        },
        metadata={"by": "me"},
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is 0 bytes long"),
        (b"\x05\x00\x00", "is 3 bytes long"),
        ((1 << 60).to_bytes(8, "little") + b"{}", "header is 1152921504606846976 bytes long"),
        (b"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer"),
        (file_of(b"{]"), "not JSON"),
        (file_of(b"[" * 100_000), "not JSON"),
        (file_of(b'{"a": 1, "a": 2}'), "stands twice"),
        (file_of([]), "no JSON object"),
        (file_of({"__metadata__": {"a": 1}}), "__metadata__"),
        (file_of({"a": 3}), "is not described by"),
        (file_of({"a": {**entry(), "more": 1}}, bytes(8)), "is not described by"),
        (file_of({"a": entry(dtype="F33")}, bytes(8)), "unknown dtype 'F33'"),
        (file_of({"a": entry(shape=(-2,))}, bytes(8)), "impossible shape"),
        (file_of({"a": entry(shape=(True,))}, bytes(8)), "impossible shape"),
        (file_of({"a": entry(shape=[1] * 17)}, bytes(8)), "impossible shape"),
        (file_of({"a": entry(offsets=(8, 0))}, bytes(8)), "impossible offsets"),
        (file_of({"a": entry(offsets=(0, 4))}, bytes(4)), "has 4 bytes of data"),
        (file_of({"a": entry(offsets=(4, 12))}, bytes(12)), "follows a gap"),
        (file_of({"a": entry(), "b": entry()}, bytes(8)), "overlaps the tensor before it"),
        (file_of({"a": entry()}, bytes(7)), "is cut short: 7 bytes"),
        (file_of({"a": entry()}, bytes(9)), "has bytes after its last tensor"),
    ],
)
def test_a_damaged_file_is_refused_with_its_reason(content: bytes, message: str) -> None:
    with pytest.raises(MalformedSafetensors, match=message) as caught:
        parse(content)
    assert caught.value.where is not None
    assert caught.value.where.startswith("w.safetensors")


@given(st.binary(max_size=300))
def test_bytes_that_are_no_safetensors_file_are_refused(content: bytes) -> None:
    with pytest.raises(MalformedSafetensors):
        parse(content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
descriptions = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "BF16", "I8", "X"]) | json_values,
        "shape": st.lists(st.integers(-1, 4), max_size=3) | json_values,
        "data_offsets": st.lists(st.integers(-1, 40), min_size=2, max_size=2) | json_values,
    }
)


@given(
    st.dictionaries(st.text(max_size=4), descriptions | json_values, max_size=3),
    st.integers(0, 64),
)
def test_what_is_accepted_fills_the_file_exactly(header: dict[str, Any], n_data: int) -> None:
    try:
        parsed = parse(file_of(header, bytes(n_data)))
    except MalformedSafetensors:
        return
    assert sum(tensor.end - tensor.begin for tensor in parsed.tensors.values()) == n_data
    assert all(0 <= t.begin <= t.end <= n_data for t in parsed.tensors.values())


@given(st.integers(0, 200), st.integers(0, 255))
def test_one_changed_byte_is_parsed_or_refused(position: int, value: int) -> None:
    content = bytearray(file_of({"W_dec": entry("F32", (2, 2), (0, 16))}, bytes(16)))
    content[position % len(content)] = value
    try:
        parsed = parse(bytes(content))
    except MalformedSafetensors:
        return
    assert sum(tensor.end - tensor.begin for tensor in parsed.tensors.values()) == 16
