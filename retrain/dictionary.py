"""The decoder's dictionary: random unit rows to begin with, and unit rows ever after."""

from __future__ import annotations

import torch
from torch import Tensor


def random_dictionary(d_sae: int, d_in: int, generator: torch.Generator) -> Tensor:
    """Directions drawn uniformly from the unit sphere, [d_sae, d_in], float32 on the CPU.

    Drawn on the CPU whatever the training device is, so that the seed means the same everywhere.
    """
    rows = torch.randn(d_sae, d_in, generator=generator)
    norms: Tensor = rows.norm(dim=1, keepdim=True)
    return rows / norms


@torch.no_grad()
def project_gradient(W_dec: Tensor) -> None:
    """Remove from each row's gradient the part along the row, in place.

    That part only changes the row's length, which `renormalise` undoes; left in, it would feed
    Adam's moments.
    """
    assert W_dec.grad is not None
    along = torch.linalg.vecdot(W_dec.grad, W_dec, dim=1).unsqueeze(1)
    W_dec.grad.addcmul_(along, W_dec, value=-1)


@torch.no_grad()
def renormalise(W_dec: Tensor) -> None:
    """Scale each row of [d_sae, d_in] to length 1, in place."""
    W_dec.div_(W_dec.norm(dim=1, keepdim=True))
