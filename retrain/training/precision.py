"""The precision of training's matrix products on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from manifests.errors import ReleaseError

# The first GPUs with TF32 are those of compute capability 8.0.
TF32_SINCE = (8, 0)


class NoTf32(ReleaseError):
    """The recipe asks for TF32 products of a GPU that has none."""

    exit_code = 2


@contextmanager
def products_in(
    precision: Literal["fp32", "tf32"],
    device: str,
    *,
    capability: tuple[int, int] | None = None,
) -> Iterator[None]:
    """Compute matrix products in a precision while the block runs; torch's setting is put back.

    Parameters, sums, Adam's moments and everything elementwise stay in float32. A CPU computes in
    float32 whatever is asked for.

    Args:
        precision: of the recipe.
        device: where torch computes.
        capability: of the GPU; None: it is asked.

    Raises:
        NoTf32: the GPU has none.
    """
    if not device.startswith("cuda"):
        yield
        return
    refuse_missing_tf32(precision, device, capability=capability)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def refuse_missing_tf32(
    precision: Literal["fp32", "tf32"],
    device: str,
    *,
    capability: tuple[int, int] | None = None,
) -> None:
    """Refuse TF32 of a GPU without it; a CPU, which computes in float32, takes any recipe.

    Raises:
        NoTf32: the GPU has none.
    """
    if precision == "fp32" or not device.startswith("cuda"):
        return
    capability = capability or torch.cuda.get_device_capability(device)
    if capability < TF32_SINCE:
        raise NoTf32(
            f"this GPU has compute capability {capability[0]}.{capability[1]} and no TF32",
            where="recipe.products",
            expected="compute capability 8.0 or more for tf32",
            next_step="state `products: fp32`",
        )
