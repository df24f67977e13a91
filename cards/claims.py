"""The manifest's claims, each held against the report once more before it is printed."""

from __future__ import annotations

from dataclasses import dataclass

from cards.sources import Sources
from manifests.errors import ReleaseError
from validators.claim_values import claim_values, why_not_held


class ClaimNotHeld(ReleaseError):
    """Claims that the report does not bear out; lists every one."""


@dataclass(frozen=True)
class HeldClaim:
    """A sentence, and the condition that holds, by which a reader can check it."""

    text: str
    condition: str


def held_claims(sources: Sources) -> tuple[HeldClaim, ...]:
    """All claims of the manifest, in its order.

    Raises:
        ClaimNotHeld: one does not hold, or cannot be judged by this report.
    """
    manifest = sources.loaded.manifest
    values = claim_values(manifest, sources.measurements.saes)
    reasons = [(claim, why_not_held(claim, values)) for claim in manifest.claims]
    broken = [f"{c.text!r} [{c.holds_if}]: {reason}" for c, reason in reasons if reason is not None]
    if broken:
        raise ClaimNotHeld(
            "\n".join(broken),
            where=f"{sources.loaded.name}: claims",
            expected="claims that hold of the manifest and of report.json",
            next_step="correct the claim or its holds_if, or take the claim out of the manifest",
        )
    return tuple(HeldClaim(claim.text, claim.holds_if) for claim in manifest.claims)
