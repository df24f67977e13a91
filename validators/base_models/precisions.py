"""From the precision that a manifest states to the arguments by which transformers loads it.

fp8 is made of the loaded weights (`fp8`). int8, fp4 and nf4 are made by bitsandbytes while the
weights are read, on a CPU as well: linear layers are quantised, the embedding, the norms and the
output head keep the compute format. A checkpoint that was dequantised from a packaged file is
quantised anew in the same way.
"""

from __future__ import annotations

import importlib.util
import logging
from typing import Any

from manifests.base_model import Precision
from manifests.errors import MissingExtra, ReleaseError

UNQUANTISED = ("fp32", "fp16", "bf16")
_BY_BITSANDBYTES = ("int8", "fp4", "nf4")
# FP8 matrix products came with this generation of NVIDIA GPUs (Ada; Hopper is 9.0).
FP8_CAPABILITY = (8, 9)
# Tensor cores of NVIDIA GPUs compute bf16 from this generation on; older ones emulate it.
BF16_CAPABILITY = (8, 0)
# bitsandbytes logs this for every single product, some hundred times a pass.
_CHATTY, _CHATTER = "bitsandbytes.autograd._functions", "MatMul8bitLt: inputs will be cast"
_TORCH_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


class PrecisionProblem(ReleaseError):
    """A precision that the device cannot compute in."""

    exit_code = 2


def is_quantised(precision: Precision) -> bool:
    """Whether the weights are another format than the products' results."""
    return precision.weights not in UNQUANTISED


def is_by_bitsandbytes(precision: Precision) -> bool:
    """Whether bitsandbytes makes the weights, while they are read."""
    return precision.weights in _BY_BITSANDBYTES


def loading_arguments(precision: Precision, *, device: str) -> dict[str, Any]:
    """Keyword arguments of `from_pretrained`; quantised weights name their device as well.

    Raises:
        MissingExtra: a quantised precision, and bitsandbytes or accelerate is not installed.
    """
    import torch

    compute = getattr(torch, _TORCH_DTYPES[precision.compute])
    if not is_by_bitsandbytes(precision):
        return {"dtype": compute}
    require_quantiser(precision)
    from transformers import BitsAndBytesConfig

    if precision.weights == "int8":
        _silence_casts()
        quantisation = BitsAndBytesConfig(load_in_8bit=True)
    else:
        quantisation = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=precision.weights,
            bnb_4bit_use_double_quant=precision.double_quantization,
            bnb_4bit_compute_dtype=compute,
        )
    return {"dtype": compute, "quantization_config": quantisation, "device_map": {"": device}}


def _silence_casts() -> None:
    """Keep the one message about casts in int8 from the screen; all others still come."""
    # A logger takes the same filter once, however often it is added.
    logging.getLogger(_CHATTY).addFilter(_is_no_cast)


def _is_no_cast(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_CHATTER)


def require_quantiser(precision: Precision) -> None:
    """Refuse a quantised precision that the environment cannot make.

    Raises:
        MissingExtra: bitsandbytes or accelerate is not installed.
    """
    if not is_by_bitsandbytes(precision):
        return
    for package in ("bitsandbytes", "accelerate"):
        if importlib.util.find_spec(package) is None:
            needed_for = f"a base model in {precision.weights}"
            raise MissingExtra(needed_for=needed_for, package=package, extra="measure")


def refuse_missing_bf16(precision: Precision, capability: tuple[int, int] | None) -> None:
    """Refuse bf16 on a GPU that has none.

    Args:
        precision: what the manifest states.
        capability: the GPU's compute capability, (7, 5) for 7.5; None: not a GPU.

    Raises:
        PrecisionProblem: weights or products are bf16, and the capability is below 8.0.
    """
    if capability is None or capability >= BF16_CAPABILITY:
        return
    if "bf16" in (precision.weights, precision.compute):
        raise PrecisionProblem(
            f"the GPU has compute capability {capability[0]}.{capability[1]}, which computes no "
            "bf16",
            where="base_model.precision",
            expected="compute capability 8.0 or later for bf16",
            next_step="state fp16 or fp32 in the manifest, or run with --device cpu",
        )


def refuse_missing_fp8(precision: Precision, capability: tuple[int, int] | None) -> None:
    """Refuse fp8 where the products are not computed in it.

    Args:
        precision: what is asked for.
        capability: the GPU's compute capability; None: not a GPU.

    Raises:
        PrecisionProblem: the weights are fp8, and there is no GPU of capability 8.9 or later.
    """
    if precision.weights != "fp8" or (capability is not None and capability >= FP8_CAPABILITY):
        return
    needed = f"compute capability {FP8_CAPABILITY[0]}.{FP8_CAPABILITY[1]} or later"
    if capability is None:
        what = f"fp8 products need a GPU of {needed}, and this is none"
    else:
        what = f"fp8 products need {needed}, and the GPU has {capability[0]}.{capability[1]}"
    raise PrecisionProblem(
        what,
        where="base_model.precision",
        expected=f"a GPU of {needed} for fp8",
        next_step="take int8, which bitsandbytes computes on every device",
    )


def compute_capability(device: str) -> tuple[int, int] | None:
    """The compute capability of a torch device, (7, 5) for 7.5; None for a CPU."""
    if not device.startswith("cuda"):
        return None
    import torch

    return torch.cuda.get_device_capability(device) if torch.cuda.is_available() else None
