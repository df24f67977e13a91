"""A hand-made section `portability`, for the cards of several tests."""

from __future__ import annotations

from typing import Any

from manifests.load import LoadedManifest
from validators.portability.requirements import settings_digest
from validators.report import Portability
from validators.training_record import TrainingRecord


def make_portability(loaded: LoadedManifest, training: TrainingRecord) -> Portability:
    """Three precisions at which all SAEs are alike: they work at fp16, and not at nf4:fp32."""
    return Portability.model_validate(
        {
            "inputs": {
                **{
                    f"{sae_id}/{name}": digest
                    for sae_id, trained in training.saes.items()
                    for name, digest in trained.files.items()
                },
                "manifest:portability": settings_digest(loaded.manifest),
            },
            "environment": {},
            "trained_at": "fp32",
            "precisions": {
                "fp32": make_loaded("fp32", "fp32", 32.0),
                "fp16": make_loaded("fp16", "fp16", 16.0),
                "nf4:fp32": make_loaded("nf4", "fp32", 8.25),
                "fp8": {"weights": "fp8", "compute": "fp8", "refused": "it wants a GPU"},
            },
            "saes": {
                spec.sae_id: {
                    "fp32": make_shift("fp32", 0.8, 1.0, "works"),
                    "fp16": make_shift("fp16", 0.792, 0.95, "works"),
                    "nf4:fp32": make_shift("nf4:fp32", 0.48, 0.4, "retrain"),
                    "fp8": {"metrics": {}, "verdict": not_run("fp8", "it wants a GPU")},
                }
                for spec in loaded.saes
            },
            "elsewhere": (not_run("fp32 on another device", "this run had one device, cpu"),),
        }
    )


def make_loaded(weights: str, compute: str, bits: float) -> dict[str, Any]:
    """A model of a million parameters, of which only those of quantised layers have fewer bits."""
    whole, held_out = {"n": 1_000_000}, {"n": 240, "split": "held_out"}
    quantised = (
        {"value": 4.5, "n": 900_000}
        if weights == "nf4"
        else {"value": None, "n": 0, "reason": "nothing is quantised"}
    )
    return {
        "weights": weights,
        "compute": compute,
        "metrics": {
            "bits_per_parameter": {"value": bits, **whole, "unit": "bits"},
            "bits_per_quantised_parameter": quantised,
            "weights_bytes": {"value": bits * 1_000_000 / 8, **whole, "unit": "bytes"},
            "largest_activation": {"value": 655.04, **held_out},
            "share_of_fp16_range": {"value": 0.01, **held_out},  # 655.04 / 65504
            "vectors_not_finite": {"value": 0.0, **held_out},
        },
    }


def make_shift(label: str, explained: float, jaccard: float, verdict: str) -> dict[str, Any]:
    """An SAE whose explained variance is 0.8 at its own precision."""
    drop = (0.8 - explained) / 0.8
    held_out = {"n": 20, "split": "held_out"}
    by = (
        ("jaccard", jaccard, 0.67) if verdict == "works" else ("explained_variance_drop", drop, 0.2)
    )
    return {
        "metrics": {
            "residual_error_about_mean": {"value": 0.02, **held_out},
            "explained_variance": {"value": explained, **held_out},
            "explained_variance_drop": {"value": drop, **held_out},
            "l0": {"value": 4.0, **held_out},
            "alive_shift": {"value": -0.125, **held_out},
            "jaccard": {"value": jaccard, **held_out, "low": jaccard - 0.1, "high": jaccard},
            "found_again": {"value": 0.975, **held_out},
            "identical_share": {"value": 0.5, **held_out},
            "latent_correlation": {"value": 0.99, "n": 30, "split": "held_out"},
            "d_max": {"value": 1.25, **held_out},
            "d_of_own_best": {"value": -1.5, **held_out},
            "probe_own": {"value": 0.75, **held_out},
            "probe_transferred": {"value": 0.7, **held_out},
        },
        "verdict": {
            "regime": label,
            "verdict": verdict,
            "decided_by": by[0],
            "value": by[1],
            "limit": by[2],
            "is_sure": True,
            "sentence": f"{verdict}: {by[0]} is {by[1]:.3f}",
        },
    }


def not_run(regime: str, reason: str) -> dict[str, Any]:
    return {
        "regime": regime,
        "verdict": "not measured",
        "decided_by": None,
        "value": None,
        "limit": None,
        "is_sure": True,
        "sentence": f"not measured: {reason}",
    }
