"""Whether SAELens and the manual path are the same function, told apart from rounding.

Two correct implementations in float32 sum in different orders. Their latents then differ by
rounding, and a latent that lies within rounding of its switching point may be on in one and off in
the other: a tie. A tie says nothing about the SAE; any other difference does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from validators.manual.forward import Floats, ManualSae

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 512

# A latent this near to its switching point, relative to the size of the terms that decide it, may
# switch by rounding. One rounding in float32 is 6e-8; summing d_in terms in any order moves the
# result by about 6e-8 * sqrt(d_in) of the terms' size: 1.4e-6 at 576, 8e-6 at 16384.
TIE_MARGIN = 1e-5


@dataclass(frozen=True)
class PathAgreement:
    """How far SAELens' path and the manual path are apart, over n vectors.

    Differences are relative, the largest of all vectors: the largest absolute difference within a
    vector, over the largest absolute value there. A vector with almost nothing in it is held
    against the median vector instead, since rounding does not shrink with what is left over.

    Attributes:
        n: vectors compared.
        reconstruction: largest relative difference of a reconstruction. A reconstruction that
            contains a tie is left out.
        latents: the same of the latents, ties left out.
        n_active_differ: (vector, latent) pairs that are active on one path only, and are no ties.
        is_finite: all reconstructions and latents of both paths are finite.
        n_ties: pairs that are active on one path only, and lie within `TIE_MARGIN` of where
            they switch.
        n_left_out: vectors whose reconstructions were not compared because of ties.
    """

    n: int
    reconstruction: float
    latents: float
    n_active_differ: int
    is_finite: bool
    n_ties: int = 0
    n_left_out: int = 0


def compare_paths(
    saelens: Any,
    manual: ManualSae,
    vectors: Floats,
    *,
    seen: Callable[[Floats, Floats, Floats], None] | None = None,
) -> PathAgreement:
    """Run both paths over the same vectors, 512 at a time.

    Args:
        saelens: the SAE as SAELens loaded it, in float32 on the CPU.
        manual: the same SAE by the formulas.
        vectors: activations [n, d_in]. For a temporal SAE each batch is one sequence.
        seen: told of each batch what SAELens made of it: activations, latents, outputs.
    """
    latents, reconstructions = _Differences(), _Differences()
    n_active_differ = n_ties = n_left_out = 0
    is_finite = True
    for start in range(0, len(vectors), BATCH):
        x = np.asarray(vectors[start : start + BATCH], dtype=np.float32)
        theirs, x_hat_theirs = run_saelens(saelens, x, manual.decodes_latents_alone)
        if seen is not None:
            seen(x, theirs, x_hat_theirs)
        # What is not finite is reported, so numpy need not warn of it.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            ours, x_hat_ours = manual.run(x)
        is_finite &= all(
            bool(np.isfinite(each).all()) for each in (theirs, ours, x_hat_theirs, x_hat_ours)
        )
        if not is_finite:
            continue
        differ = (theirs != 0) != (ours != 0)
        ties = _ties(manual, x, differ)
        n_ties += int(ties.sum())
        n_active_differ += int((differ & ~ties).sum())
        latents.add(np.where(ties, ours, theirs), ours, size=_largest(ours))
        whole = ~ties.any(axis=1)
        n_left_out += int((~whole).sum())
        # Where the output is the input reconstructed, rounding scales with either.
        size = _largest(x_hat_ours)
        if x_hat_ours.shape == x.shape:
            size = np.maximum(size, _largest(x))
        reconstructions.add(x_hat_theirs[whole], x_hat_ours[whole], size=size[whole])
    return PathAgreement(
        n=len(vectors),
        reconstruction=reconstructions.largest() if is_finite else math.inf,
        latents=latents.largest() if is_finite else math.inf,
        n_active_differ=n_active_differ,
        is_finite=is_finite,
        n_ties=n_ties,
        n_left_out=n_left_out,
    )


def run_saelens(saelens: Any, x: Floats, decodes_latents_alone: bool) -> tuple[Floats, Floats]:
    """Latents [n, d_sae] and outputs [n, d_out] of SAELens for activations x [n, d_in].

    Args:
        saelens: the SAE as SAELens loaded it.
        x: activations.
        decodes_latents_alone: as `ManualSae` has it; where False, `decode` is not all of the SAE.
    """
    import torch

    with torch.inference_mode():
        given = torch.from_numpy(np.ascontiguousarray(x))
        if saelens.cfg.architecture() == "temporal":
            given = given[None]
        if saelens.hook_z_reshaping_mode:
            # Heads are laid side by side, so one wide head is the same as many narrow ones.
            given = given.unsqueeze(-2)
        latents = saelens.encode(given)
        outputs = saelens.decode(latents) if decodes_latents_alone else saelens(given)
        return _rows(latents, len(x)), _rows(outputs, len(x))


def _rows(tensor: Tensor, n: int) -> Floats:
    dense = tensor.to_dense() if tensor.is_sparse else tensor
    return np.asarray(dense.reshape(n, -1).numpy())


def _ties(manual: ManualSae, x: Floats, differ: np.ndarray) -> np.ndarray:
    """Those of the differing pairs [n, d_sae] that rounding explains."""
    ties = np.zeros_like(differ)
    rows = np.flatnonzero(differ.any(axis=1))
    if not len(rows):
        return ties
    if manual.architecture == "temporal":
        # A position means nothing without those before it.
        return np.asarray(differ & (manual.switch_margin(x) <= TIE_MARGIN))
    ties[rows] = differ[rows] & (manual.switch_margin(x[rows]) <= TIE_MARGIN)
    return ties


def _largest(values: Floats) -> Floats:
    """Largest absolute value of each row."""
    return np.asarray(np.abs(values).max(axis=1, initial=0))


class _Differences:
    """Largest difference and size of each vector, until the median size of all is known."""

    def __init__(self) -> None:
        self._differences: list[Floats] = []
        self._sizes: list[Floats] = []

    def add(self, theirs: Floats, ours: Floats, *, size: Floats) -> None:
        """Rows of both paths, and the size [n] that each row is held against."""
        self._differences.append(_largest(theirs - ours))
        self._sizes.append(size)

    def largest(self) -> float:
        """Largest relative difference; where all is zero on our path, the difference itself."""
        difference = np.concatenate([*self._differences, np.zeros(0, np.float32)])
        size = np.concatenate([*self._sizes, np.zeros(0, np.float32)])
        nonzero = size[size > 0]
        floor = float(np.median(nonzero)) if len(nonzero) else 1.0
        return float((difference / np.maximum(size, floor)).max(initial=0))
