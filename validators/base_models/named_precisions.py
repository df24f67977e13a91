"""Precisions by the names of the command line and of manifests, such as `nf4-dq:fp16`.

| name | weights |
|---|---|
| `fp32`, `fp16`, `bf16` | as they are, computed in the same format |
| `int8` | bitsandbytes, one scale for each row |
| `nf4`, `fp4` | bitsandbytes, one float32 scale for each block of 64 weights |
| `nf4-dq`, `fp4-dq` | the same with double quantisation: 8-bit scales, in blocks of 256 |
| `fp8` | E4M3 with one scale for each layer, on a GPU that multiplies in it (`fp8`) |

After a colon stands the compute format, of products and residual stream. Without one, quantised
weights are computed in the format that the SAE's own precision computes in, so that a comparison
changes the weights and nothing else; bitsandbytes takes all three on a CPU as well. One exception
is bitsandbytes' own: int8 layers cast their inputs to fp16, whatever the residual stream's format.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from manifests.base_model import Precision
from manifests.errors import MissingExtra, UsageError
from manifests.portability import ComputeName, split_precision_name
from validators.base_models.precisions import (
    PrecisionProblem,
    compute_capability,
    is_quantised,
    refuse_missing_bf16,
    refuse_missing_fp8,
    require_quantiser,
)

_DOUBLE = "-dq"


@dataclass(frozen=True)
class NamedPrecision:
    """A precision and the one name by which results are kept.

    Attributes:
        label: weights, and for quantised ones the compute format: `fp16`, `nf4-dq:fp16`.
        precision: how the base model is loaded.
    """

    label: str
    precision: Precision


def named_precision(name: str, *, trained_at: Precision) -> NamedPrecision:
    """The precision that a name stands for.

    Args:
        name: weights, with an optional compute format after a colon.
        trained_at: the SAE's own precision, which lends its compute format to quantised weights
            without one.

    Raises:
        UsageError: there is no such precision; the nearest name is proposed.
    """
    try:
        weights, stated = split_precision_name(name.strip())
    except ValueError as error:
        raise UsageError(
            str(error),
            where="--precisions",
            expected="weights with an optional compute format, such as nf4-dq:fp16",
        ) from None
    bare = weights.removesuffix(_DOUBLE)
    compute: ComputeName | str = stated or trained_at.compute
    precision = Precision.model_validate(
        {
            "weights": bare,
            "compute": bare if bare in ("fp32", "fp16", "bf16") else compute,
            "double_quantization": weights.endswith(_DOUBLE),
        }
    )
    return NamedPrecision(precision_label(precision), precision)


def named_precisions(names: Iterable[str], *, trained_at: Precision) -> tuple[NamedPrecision, ...]:
    """The same for several names, each precision once, in their order.

    Raises:
        UsageError: a name is unknown, or there is none.
    """
    found = {one.label: one for one in (named_precision(n, trained_at=trained_at) for n in names)}
    if not found:
        raise UsageError(
            "no precision is named",
            where="--precisions",
            expected="one or more, such as fp32,fp16,nf4",
        )
    return tuple(found.values())


def precision_label(precision: Precision) -> str:
    """The name under which results of a precision are kept; `named_precision` reads it back."""
    if not is_quantised(precision):
        return precision.weights
    double = _DOUBLE if precision.double_quantization else ""
    return f"{precision.weights}{double}:{precision.compute}"


def why_unavailable(named: NamedPrecision, device: str) -> str | None:
    """Why the base model cannot be run so on a device; None: it can.

    Args:
        named: the precision.
        device: a torch device, such as `cpu` or `cuda:1`.
    """
    capability = compute_capability(device)
    try:
        require_quantiser(named.precision)
        refuse_missing_bf16(named.precision, capability)
        refuse_missing_fp8(named.precision, capability)
    except (MissingExtra, PrecisionProblem) as refused:
        return refused.what
    return None
