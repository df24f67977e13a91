"""Names of precisions: what they stand for, back to one label, and why one cannot be run."""

from __future__ import annotations

import importlib.util

import pytest

from manifests.base_model import Precision
from manifests.errors import UsageError
from manifests.portability import WEIGHTS_NAMES, Portability
from validators.base_models import named_precisions as module
from validators.base_models.named_precisions import (
    NamedPrecision,
    named_precision,
    named_precisions,
    precision_label,
    why_unavailable,
)

FP32 = Precision.model_validate({})
GF1 = Precision.model_validate({"weights": "nf4", "compute": "fp16", "double_quantization": True})


@pytest.mark.parametrize(
    ("name", "label", "weights", "compute", "double"),
    [
        ("fp32", "fp32", "fp32", "fp32", False),
        ("fp16", "fp16", "fp16", "fp16", False),
        ("bf16:bf16", "bf16", "bf16", "bf16", False),
        ("int8", "int8:fp16", "int8", "fp16", False),
        ("int8:fp32", "int8:fp32", "int8", "fp32", False),
        ("nf4", "nf4:fp16", "nf4", "fp16", False),
        ("nf4-dq", "nf4-dq:fp16", "nf4", "fp16", True),
        ("fp4:bf16", "fp4:bf16", "fp4", "bf16", False),
        (" fp4-dq ", "fp4-dq:fp16", "fp4", "fp16", True),
    ],
)
def test_a_name_stands_for_a_precision(
    name: str, label: str, weights: str, compute: str, double: bool
) -> None:
    found = named_precision(name, trained_at=GF1)
    expected = Precision.model_validate(
        {"weights": weights, "compute": compute, "double_quantization": double}
    )
    assert found == NamedPrecision(label, expected)


def test_quantised_weights_take_the_compute_format_of_the_sae_s_own_precision() -> None:
    assert named_precision("nf4", trained_at=FP32).label == "nf4:fp32"
    assert named_precision("nf4", trained_at=GF1).label == "nf4:fp16"
    assert named_precision("nf4-dq", trained_at=GF1).precision == GF1


@pytest.mark.parametrize("weights", WEIGHTS_NAMES)
@pytest.mark.parametrize("own", [FP32, GF1])
def test_a_label_is_read_back_whatever_the_own_precision(weights: str, own: Precision) -> None:
    named = named_precision(weights, trained_at=own)
    for other in (FP32, GF1):
        assert named_precision(named.label, trained_at=other) == named
    if named.precision is not None:
        assert precision_label(named.precision) == named.label


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nf44", "no precision is called 'nf44'; did you mean 'nf4'"),
        ("NF4", "did you mean 'nf4'"),
        ("int4", "did you mean 'int8'"),
        ("", "no precision is called ''; There are fp32, fp16"),
        ("nf4:fp8", "nothing is computed in 'fp8', as 'nf4:fp8' asks; did you mean 'fp"),
        ("nf4:", "nothing is computed in ''"),
        ("fp16:bf16", "unquantised fp16 weights are computed in fp16, not bf16"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        named_precision(name, trained_at=FP32)
    assert message in str(refused.value)
    with pytest.raises(ValueError, match=r"precision|computed|at least 1 character"):
        Portability.model_validate({"precisions": [name]})


def test_two_names_of_one_precision_are_one() -> None:
    names = ["nf4", "fp16", "nf4:fp32", "fp16:fp16"]
    labels = [one.label for one in named_precisions(names, trained_at=FP32)]
    assert labels == ["nf4:fp32", "fp16"]
    with pytest.raises(UsageError, match="no precision is named"):
        named_precisions([], trained_at=FP32)


@pytest.mark.parametrize("weights", [name for name in WEIGHTS_NAMES if name != "fp8"])
@pytest.mark.parametrize("own", [FP32, GF1])
def test_a_cpu_runs_everything_but_fp8(weights: str, own: Precision) -> None:
    assert why_unavailable(named_precision(weights, trained_at=own), "cpu") is None


@pytest.mark.parametrize(
    ("name", "capability", "reason"),
    [
        ("bf16", (7, 5), "compute capability 7.5, which computes no bf16"),
        ("nf4:bf16", (7, 5), "which computes no bf16"),
        ("nf4:fp16", (7, 5), None),
        ("bf16", (8, 0), None),
        ("fp8", None, "need a GPU of compute capability 8.9 or later, and this is none"),
        ("fp8", (8, 6), "need compute capability 8.9 or later, and the GPU has 8.6"),
        ("fp8", (8, 9), None),
    ],
)
def test_a_precision_that_the_device_lacks_is_named_with_the_reason(
    name: str,
    capability: tuple[int, int] | None,
    reason: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "compute_capability", lambda device: capability)
    found = why_unavailable(named_precision(name, trained_at=FP32), "cuda")
    assert (found is None) == (reason is None)
    assert (reason or "") in (found or "")


def test_a_missing_package_is_a_reason_too(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else real(name)
    )
    found = why_unavailable(named_precision("nf4", trained_at=FP32), "cpu")
    assert found == "a base model in nf4 needs the package bitsandbytes, which is not installed"
    assert why_unavailable(named_precision("fp16", trained_at=FP32), "cpu") is None
