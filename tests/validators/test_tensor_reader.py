"""Tensors are read as safetensors reads them, from files that may lie."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from validators.reading.safetensors_header import (
    MalformedSafetensors,
    SafetensorsHeader,
    parse_header,
)
from validators.reading.tensor_reader import UnreadableTensors, read_tensors

EVERY_BYTE = torch.arange(256, dtype=torch.uint8)


def header_of(path: Path) -> SafetensorsHeader:
    content = path.read_bytes()
    return parse_header(content, size_bytes=len(content), where=path.name)


@pytest.mark.parametrize(
    ("dtype", "read_as"),
    [
        (torch.float32, "float32"),
        (torch.float64, "float64"),
        (torch.float16, "float16"),
        (torch.bfloat16, "float32"),
        (torch.float8_e5m2, "float32"),
        (torch.float8_e4m3fn, "float32"),
        (torch.int8, "int8"),
        (torch.uint8, "uint8"),
        (torch.int16, "int16"),
        (torch.uint16, "uint16"),
        (torch.int32, "int32"),
        (torch.uint32, "uint32"),
        (torch.int64, "int64"),
        (torch.uint64, "uint64"),
    ],
    ids=str,
)
def test_every_bit_pattern_is_read_as_torch_reads_it(
    dtype: torch.dtype, read_as: str, tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    # Every byte in every position of the widest type, so all signs, exponents and NaNs.
    stored = torch.cat([EVERY_BYTE, EVERY_BYTE.flip(0), EVERY_BYTE.roll(7)]).repeat(4).view(dtype)
    save_file({"a": stored.reshape(2, -1), "z": stored[:3].clone()}, path)
    read = read_tensors(path, header_of(path))
    assert list(read) == ["a", "z"]
    for name, tensor in load_file(path).items():
        assert read[name].dtype == np.dtype(read_as)
        assert read[name].shape == tuple(tensor.shape)
        expected = tensor.float() if read_as == "float32" else tensor
        np.testing.assert_array_equal(read[name], expected.numpy())


def test_booleans_scalars_and_empty_tensors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(
        {
            "flags": torch.tensor([True, False]),
            "scalar": torch.tensor(2.5, dtype=torch.float64),
            "nothing": torch.zeros(0, 4),
        },
        path,
    )
    read = read_tensors(path, header_of(path))
    assert read["flags"].tolist() == [True, False]
    assert (read["scalar"].shape, float(read["scalar"])) == ((), 2.5)
    assert read["nothing"].shape == (0, 4)


def test_the_file_may_be_deleted_while_its_tensors_are_in_use(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.arange(4.0)}, path)
    read = read_tensors(path, header_of(path))
    path.unlink()
    assert read["a"].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_a_file_that_was_cut_or_has_grown_since_its_header_was_read_is_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.arange(4.0), "b": torch.arange(4.0)}, path)
    header, content = header_of(path), path.read_bytes()
    for changed in (content[:-4], content + b"\0"):
        path.write_bytes(changed)
        with pytest.raises(UnreadableTensors, match=f"is {len(changed)} bytes long"):
            read_tensors(path, header)


def test_a_file_that_was_replaced_by_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.arange(4.0)}, path)
    header = header_of(path)
    path.write_bytes(b"\xff" * len(path.read_bytes()))
    with pytest.raises(MalformedSafetensors):
        read_tensors(path, header)


def test_a_header_that_is_longer_than_the_one_that_was_parsed_moves_no_tensor_out_of_the_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.arange(4.0)}, path)
    header, content = header_of(path), path.read_bytes()
    longer = json.dumps({"__metadata__": {"x": "y" * 200}}).encode()
    path.write_bytes(len(longer).to_bytes(8, "little") + longer + content[-16:-8])
    with pytest.raises(UnreadableTensors, match="bytes long"):
        read_tensors(path, header)
