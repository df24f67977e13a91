"""Whether what a manifest says about the size of the weights is so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from manifests.portability import ClaimedSize
from validators.base_models.effective_bits import EffectiveBits

_GB = 1e9


@dataclass(frozen=True)
class SizeFinding:
    """One claimed number against the measured one.

    Attributes:
        quantity: `effective_bits`, in bits for each parameter, or `memory_gb`, in 10^9 bytes.
        claimed: what the manifest says.
        measured: what the loaded model takes.
        relative_error: `claimed / measured - 1`.
        holds: whether that is within the claim's tolerance.
        sentence: all of it in words.
    """

    quantity: Literal["effective_bits", "memory_gb"]
    claimed: float
    measured: float
    relative_error: float
    holds: bool
    sentence: str


def check_claimed_size(claim: ClaimedSize, measured: EffectiveBits) -> tuple[SizeFinding, ...]:
    """Hold a claim against a model that is loaded at the claim's precision.

    Raises:
        UndefinedMetric: the claim is about quantised layers and the model has none, or the model
            has no parameters.
    """
    found = []
    if claim.effective_bits is not None:
        bits = measured.quantised() if claim.of == "quantised" else measured.whole()
        of = "the quantised layers" if claim.of == "quantised" else "the whole model"
        found.append(
            _finding(claim, "effective_bits", claim.effective_bits, bits, f"bits a weight of {of}")
        )
    if claim.memory_gb is not None:
        held = measured.n_bytes / _GB
        found.append(_finding(claim, "memory_gb", claim.memory_gb, held, "GB of weights"))
    return tuple(found)


def _finding(
    claim: ClaimedSize,
    quantity: Literal["effective_bits", "memory_gb"],
    claimed: float,
    measured: float,
    unit: str,
) -> SizeFinding:
    error = claimed / measured - 1
    holds = abs(error) <= claim.tolerance
    said = f"{claimed:g} {unit} at {claim.precision}"
    return SizeFinding(
        quantity=quantity,
        claimed=claimed,
        measured=measured,
        relative_error=error,
        holds=holds,
        sentence=f"the manifest says {said}, and the loaded model takes {measured:.4g}: "
        f"{'it agrees' if holds else f'it is {error:+.0%} off'}",
    )
