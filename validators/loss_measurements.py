"""The base model's loss with one SAE in it, as measurements of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validators.evaluation import measured
from validators.evidence.activations import Vectors
from validators.evidence.evidence import NoEvidence
from validators.manual.path_agreement import run_saelens
from validators.metrics.undefined import UndefinedMetric
from validators.report import Measurement

if TYPE_CHECKING:
    from validators.base_models.model_loss import ModelLoss
    from validators.subjects import SaeSubject

UNITS = {
    "ce_recovered": "",
    "ce_recovered_mean": "",
    "ce_increase": "nats per token",
    "kl": "nats per token",
    "kl_recovered": "",
}


def measure_loss(sae: SaeSubject) -> dict[str, Measurement]:
    """Cross-entropy and KL divergence with the SAE spliced in at its place.

    Every value is None, with the reason, where there is no base model or no token to predict.
    """
    try:
        loss = _loss(sae)
    except (NoEvidence, UndefinedMetric) as error:
        return {
            name: Measurement(value=None, n=0, split="held_out", unit=unit, reason=error.what)
            for name, unit in UNITS.items()
        }
    return {
        name: measured(getattr(loss, name), n=loss.n_tokens, split="held_out", unit=unit)
        for name, unit in UNITS.items()
    }


def _loss(sae: SaeSubject) -> ModelLoss:
    if sae.hook_metadata.get("hook_head_index") is not None:
        raise UndefinedMetric("the SAE reads one head, and only whole activations are spliced")

    def reconstruct(x: Vectors) -> Vectors:
        return run_saelens(sae.saelens, x, sae.manual.decodes_latents_alone)[1]

    return sae.parent.loss_meter(sae).measure(sae.place, reconstruct)
