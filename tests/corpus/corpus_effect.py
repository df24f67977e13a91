"""What damage does to an SAE's output, measured with SAELens on the same vectors."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Effect:
    """How far the damaged SAE is from the good one.

    Attributes:
        moved: sum ||x_hat_damaged - x_hat_good||^2 / sum ||x - mean||^2.
        latents: the same of the latents, over the good latents' sum of squares.
        switched: share of the good SAE's active (vector, latent) pairs that changed activity.
        good: explained variance before.
        damaged: and after.
    """

    moved: float
    latents: float
    switched: float
    good: float
    damaged: float

    @property
    def is_none(self) -> bool:
        """Whether the two compute the same, to rounding."""
        return self.moved < 1e-9 and self.latents < 1e-9 and self.switched < 1e-6

    def __str__(self) -> str:
        """The explained variance before and after, and how far latents are apart."""
        return (
            f"EV {self.good:.3f} -> {self.damaged:.3f}, x_hat {self.moved:.1e}, "
            f"latents {self.latents:.1e}, switched {self.switched:.1%}"
        )


def effect_of(good: Path, damaged: Path, vectors: Vectors) -> Effect | None:
    """Run both on the same vectors [n, d_in]; None where the damaged one cannot be run."""
    x = torch.from_numpy(np.ascontiguousarray(vectors))
    before = _run(good, x)
    assert before is not None, f"the good SAE in {good.name} cannot be run"
    after = _run(damaged, x)
    if after is None or after[0].shape != before[0].shape:
        return None
    (f_good, x_good), (f_damaged, x_damaged) = before, after
    variance = float((x - x.mean(dim=0)).double().square().sum())
    size = float(f_good.double().square().sum()) or 1.0
    n_active = max(1, int((f_good != 0).sum()))
    return Effect(
        moved=_finite(float((x_damaged - x_good).double().square().sum()) / variance),
        latents=_finite(float((f_damaged - f_good).double().square().sum()) / size),
        switched=int(((f_good != 0) != (f_damaged != 0)).sum()) / n_active,
        good=1 - float((x - x_good).double().square().sum()) / variance,
        damaged=1 - _finite(float((x - x_damaged).double().square().sum()) / variance),
    )


def vectors_like(folder: Path, n: int = 256) -> Vectors:
    """Vectors that an SAE could have been trained on, where no activations are at hand.

    b_dec plus the decoder rows of a few latents, so large that those latents are active.
    """
    tensors = load_file(folder / "sae_weights.safetensors")
    w_dec, b_dec = tensors["W_dec"].float(), tensors["b_dec"].float()
    generator = torch.Generator().manual_seed(0)
    size = float(b_dec.norm()) / 4 or 1.0
    rows = torch.nn.functional.normalize(w_dec, dim=1)
    chosen = torch.randint(0, len(rows), (n, 12), generator=generator)
    amounts = size * torch.rand((n, 12, 1), generator=generator)
    noise = 0.05 * size * torch.randn((n, len(b_dec)), generator=generator) / math.sqrt(len(b_dec))
    vectors: Vectors = (b_dec + (rows[chosen] * amounts).sum(dim=1) + noise).numpy()
    return vectors


def _run(folder: Path, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    from sae_lens import SAE

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        try:
            sae: Any = SAE.load_from_disk(folder, dtype="float32")
            latents = sae.encode(x)
            latents = latents.to_dense() if latents.is_sparse else latents
            return latents, sae.decode(latents)
        except Exception:  # noqa: BLE001 - an SAE that cannot be run has no effect to measure
            return None


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.inf
