"""The manifest's claims, each held against the report once more before it is printed."""

from __future__ import annotations

from dataclasses import dataclass

from cards.sources import Sources
from manifests.claims import names_used
from manifests.errors import ReleaseError
from validators.claim_values import claim_values, rests_on_measurements, why_not_held

_REPORTED = {"reported", "plus_minus", "out_of"}


class ClaimNotHeld(ReleaseError):
    """Claims that the report does not bear out; lists every one."""


@dataclass(frozen=True)
class HeldClaim:
    """A sentence, and the condition that holds, by which a reader can check it.

    `is_reported`: the condition rests on numbers that nobody measured here.
    """

    text: str
    condition: str
    is_reported: bool


@dataclass(frozen=True)
class Findings:
    """The claims that hold, and how many wait for measurements."""

    held: tuple[HeldClaim, ...]
    n_waiting: int


def findings(sources: Sources) -> Findings:
    """All claims of the manifest that can be judged, in its order.

    Where nothing was measured, claims about measurements are left out and counted.

    Raises:
        ClaimNotHeld: one does not hold, or cannot be judged by this report.
    """
    manifest = sources.loaded.manifest
    claims = manifest.claims
    if sources.has_measurements:
        values = claim_values(manifest, sources.measurements.saes)
    else:
        values = claim_values(manifest, {})
        claims = tuple(claim for claim in claims if not rests_on_measurements(claim, manifest))
    reasons = [(claim, why_not_held(claim, values)) for claim in claims]
    broken = [f"{c.text!r} [{c.holds_if}]: {reason}" for c, reason in reasons if reason is not None]
    if broken:
        raise ClaimNotHeld(
            "\n".join(broken),
            where=f"{sources.loaded.name}: claims",
            expected="claims that hold of the manifest and of report.json",
            next_step="correct the claim or its holds_if, or take the claim out of the manifest",
        )
    return Findings(
        held=tuple(
            HeldClaim(
                claim.text,
                claim.holds_if,
                bool(_REPORTED & {name[0] for name in names_used(claim.holds_if)}),
            )
            for claim in claims
        ),
        n_waiting=len(manifest.claims) - len(claims),
    )
