"""The dictionary to begin with: random unit rows."""

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
