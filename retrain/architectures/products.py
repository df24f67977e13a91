"""Matrix products of several SAEs side by side, written into arrays that are there already."""

from __future__ import annotations

import torch
from torch import Tensor


def multiply(
    a: Tensor, b: Tensor, *, out: Tensor, bias: Tensor | None = None, onto: bool = False
) -> Tensor:
    """A b (+ bias), SAE by SAE.

    A single SAE takes the plain product, which a CPU does faster than a batch of one.

    Args:
        a: [saes, m, n].
        b: [saes, n, p]; transposed views are read in place.
        out: [saes, m, p], overwritten and returned.
        bias: [saes, p], added to every row.
        onto: add to what `out` holds; without a bias.
    """
    if onto:
        return out.baddbmm_(a, b)
    if len(a) > 1:
        if bias is None:
            return torch.bmm(a, b, out=out)
        return torch.baddbmm(bias.unsqueeze(1), a, b, out=out)
    if bias is None:
        torch.mm(a[0], b[0], out=out[0])
    else:
        torch.addmm(bias[0], a[0], b[0], out=out[0])
    return out
