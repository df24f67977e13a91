"""M: what the manifest says about results, and which failures it accepts."""

from __future__ import annotations

from collections.abc import Iterable

from manifests.facts import Claim
from validators.acceptance import why_unneeded
from validators.check import Passed, Problem, Verdict, repository_check
from validators.claim_values import Values, claim_values, rests_on_measurements, why_not_held
from validators.subjects import RepositorySubject


@repository_check("M001", "claims on reported facts hold", tier="static", needs_manifest=True)
def reported_claims_hold(subject: RepositorySubject) -> Verdict:
    """A sentence about results is believed; so each stands beside a condition that must hold.

    Asked here are the claims that rest on reported facts, counts and the matrix, and every claim
    that cannot be read or names something unknown. Those on measured numbers are asked by M201.

    Example: "fewer than half of the SAEs beat the raw baseline", where 30 of 54 do; or
    `best(topk.l00) < 65`, since nothing is called `topk.l00`.

    To mend it: correct the claim's sentence or its `holds_if`, or take the claim out; the names
    that a condition may use are in docs/manifest.md.
    """
    assert subject.claim is not None
    manifest = subject.claim.manifest
    asked = [claim for claim in manifest.claims if not rests_on_measurements(claim, manifest)]
    return _verdict(asked, claim_values(manifest, {}))


@repository_check(
    "M002", "every accepted failure still occurs", tier="static",
    severity="warn", needs_manifest=True, asked_last=True,
)  # fmt: skip
def acceptances_are_needed(subject: RepositorySubject) -> Verdict:
    """An acceptance that outlives its failure hides the next one, and the card prints it no more.

    An entry of `accept` is needed while its check fails on something that its `where` matches. It
    is left alone where that could not be found out: the check was skipped, crashed, or is of a tier
    that was not run. A claim (M) that does not hold cannot be accepted.

    Example: W103 was accepted for all JumpReLU SAEs, and they have been retrained since.

    To mend it: take the entry out of `accept`, or correct its code or its glob.
    """
    assert subject.claim is not None
    entries = subject.claim.manifest.accept
    unneeded = [
        f"{entry.code} on {entry.where!r}, accepted since {entry.since}: {reason}"
        for entry in entries
        if (reason := why_unneeded(entry, subject.outcomes)) is not None
    ]
    if not unneeded:
        return Passed(f"{len(entries)} acceptances" if entries else "nothing is accepted")
    return Problem(
        "; ".join(unneeded),
        "a failure that each entry of accept is about",
        "take the entry out of accept, or correct its code or where",
    )


@repository_check(
    "M201", "claims on measured numbers hold", tier="activations",
    requires=("H200", "N201"), needs_manifest=True, asked_last=True,
)  # fmt: skip
def measured_claims_hold(subject: RepositorySubject) -> Verdict:
    """A sentence about measured numbers must hold of the numbers that were measured just now.

    A claim that rests on a number that was not measured fails too: nobody knows whether it holds.

    Example: "every SAE beats eight principal components", and after a retraining one does not; or
    `worst(threshold_moved_fraction) > 0`, where only JumpReLU SAEs have thresholds.

    To mend it: correct the claim or take it out; put a group in front of a metric that only some
    SAEs have, as in `jumprelu.threshold_moved_fraction`.
    """
    assert subject.claim is not None
    manifest = subject.claim.manifest
    measured = {sae.sae_id: sae.measurements for sae in subject.saes if sae.was_evaluated}
    asked = [claim for claim in manifest.claims if rests_on_measurements(claim, manifest)]
    return _verdict(asked, claim_values(manifest, measured))


def _verdict(claims: Iterable[Claim], values: Values) -> Verdict:
    reasons = [(claim, why_not_held(claim, values)) for claim in claims]
    broken = [(claim, reason) for claim, reason in reasons if reason is not None]
    if not broken:
        return Passed(f"{len(reasons)} claims hold" if reasons else "there is no such claim")
    return Problem(
        "\n".join(f"{claim.text} [{claim.holds_if}] {reason}" for claim, reason in broken),
        "claims that hold",
        "correct the claim or its holds_if, or take the claim out of the manifest",
    )
