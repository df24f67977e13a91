"""Hand-made distributions of latents, for a report that has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from manifests.matrix import SaeSpec
from validators.distributions import Distributions

N_HELD_OUT = {"mixed": 20, "deceptive_only": 10}


def with_distributions(release: Any) -> Any:
    """The release with the same bins for every SAE of a kind, and thresholds of JumpReLU."""
    return replace_distributions(
        release, {spec.sae_id: make_distributions(spec) for spec in release.loaded.saes}
    )


def replace_distributions(release: Any, by_sae: dict[str, Distributions]) -> Any:
    measurements = release.report.measurements.model_copy(update={"distributions": by_sae})
    return replace(release, report=release.report.model_copy(update={"measurements": measurements}))


def make_distributions(spec: SaeSpec) -> Distributions:
    """32 latents: 8 never fire, 4 + 8 + 8 by share; 24 alive thresholds that began at 0.25."""
    density = {
        "n": N_HELD_OUT[spec.condition],
        "split": "held_out",
        "shares": {
            "edges": (0.0464159, 0.1, 0.464159, 1.0),
            "counts": (4, 8, 12),
            "below": 8,
            "above": 0,
        },
    }
    thresholds = {
        "latents": "alive",
        "n_left_out": 8,
        "before": 0.25,
        "after": {"edges": (0.2, 0.25, 0.5, 1.0), "counts": (6, 12, 6), "below": 0, "above": 0},
        "n_not_above_zero": 0,
    }
    has_thresholds = spec.architecture == "jumprelu"
    return Distributions.model_validate(
        {"firing_density": density, "thresholds": thresholds if has_thresholds else None}
    )
