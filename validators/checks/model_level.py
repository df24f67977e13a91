"""N22: what the base model does when the SAE's reconstruction takes the activations' place."""

from __future__ import annotations

from validators.check import Passed, Problem, Skipped, Verdict, sae_check
from validators.subjects import SaeSubject


@sae_check(
    "N220", "the base model works with the SAE in it", tier="activations", severity="warn",
    requires=("N201",),
)  # fmt: skip
def model_keeps_working(sae: SaeSubject) -> Verdict:
    """The loss says whether what the SAE drops matters to the model; explained variance does not.

    The reconstruction replaces the activations at the declared place, at every judged position but
    those of outlying norm, and the model goes on from there. Reported is the share of the loss of
    zero ablation that is avoided: 1 is no harm done, 0 and below is no better than deleting the
    activations. Where the ablation itself hardly raises the loss there is no such share; it is
    then said so, since a share of nothing was seen to read 1.4 on a random model.

    Example: explained variance 0.4, and a loss above that of zero ablation: the reconstruction
    throws the later layers off.

    To mend it: look at N204 first; an SAE of pooled vectors is not made for single positions,
    which a caveat of the manifest can say.
    """
    metrics = sae.loss_measurements
    recovered, kl = metrics["ce_recovered"], metrics["kl"]
    if recovered.value is None:
        return Skipped(f"not measured: {recovered.reason}", required=False)
    found = f"{recovered.value:.3f} of the loss of zero ablation avoided"
    if kl.value is not None:
        found += f", KL {kl.value:.3g} nats"
    found += f", over {recovered.n} tokens"
    if recovered.value > 0:
        return Passed(found)
    return Problem(
        found,
        "above 0: better than deleting the activations",
        "look at hook, k, b_dec and scale; say in a caveat if single positions are not its use",
    )
