"""Weights written from numpy are those that safetensors and torch read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from validators.mending.weights_file import safetensors_content


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("F64", torch.float64),
        ("F32", torch.float32),
        ("F16", torch.float16),
        ("BF16", torch.bfloat16),
    ],
)
def test_every_float_dtype_is_rounded_as_torch_rounds_it(
    tmp_path: Path, dtype: str, expected: Any
) -> None:
    values = np.random.default_rng(0).normal(size=(64, 33)) * 1e3
    content = safetensors_content({"W": values.astype(np.float32)}, {"W": dtype})
    (tmp_path / "w.safetensors").write_bytes(content)
    found = load_file(tmp_path / "w.safetensors")["W"]
    wanted = torch.from_numpy(values.astype(np.float32)).to(expected)
    assert found.dtype == expected
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 3.4e38])
def test_odd_values_become_the_bfloat16_that_torch_makes_of_them(
    tmp_path: Path, value: float
) -> None:
    content = safetensors_content({"W": np.float32([value])}, {"W": "BF16"})
    (tmp_path / "w.safetensors").write_bytes(content)
    found = load_file(tmp_path / "w.safetensors")["W"]
    wanted = torch.tensor([value], dtype=torch.float32).bfloat16()
    assert torch.equal(found.nan_to_num(7.0), wanted.nan_to_num(7.0))


def test_the_bytes_do_not_depend_on_the_order_of_the_tensors(tmp_path: Path) -> None:
    tensors = {"a": np.zeros(3, dtype=np.float16), "b": np.ones((), dtype=np.float64)}
    dtypes = {"a": "F16", "b": "F64"}
    content = safetensors_content(tensors, dtypes)
    assert content == safetensors_content(dict(reversed(tensors.items())), dtypes)
    (tmp_path / "w.safetensors").write_bytes(content)
    assert load_file(tmp_path / "w.safetensors")["b"].item() == 1.0
