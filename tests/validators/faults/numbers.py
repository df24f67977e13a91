"""Faults that the checks N notice."""

from __future__ import annotations

from faults.damage import (
    GATED,
    JUMPRELU,
    TOPK,
    Fault,
    filled,
    override_k_by_the_older_format,
    tensor,
    without_positive_directions,
)

FAULTS = (
    Fault("N200", "other_base_model_weights", lambda d: d.edit_training(
        lambda r: r["base_model"].update(digest="1" * 64))),
    Fault("N202", "k_of_the_older_format", override_k_by_the_older_format, TOPK),
    Fault("N203", "k_of_the_older_format", override_k_by_the_older_format, TOPK),
    Fault("N204", "bias_lost", tensor("topk", "b_dec", lambda t: t + 1000), TOPK),
    Fault("N205", "k_of_the_older_format", override_k_by_the_older_format, TOPK),
    Fault("N206", "too_few_live_latents", 
          tensor("topk", "b_enc", without_positive_directions), TOPK),
    Fault("N207", "dense_code", tensor("gated", "b_gate", filled(1000.0)), GATED),
    Fault("N208", "too_sparse", tensor("jumprelu", "threshold", lambda t: t + 1000), JUMPRELU),
    Fault("N209", "dead_latents", tensor("jumprelu", "threshold", lambda t: t + 1000), JUMPRELU),
    Fault("N210", "worse_than_pca", tensor("topk", "b_dec", lambda t: t + 1000), TOPK),
)  # fmt: skip
