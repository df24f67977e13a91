"""Faults that the checks H notice."""

from __future__ import annotations

from faults.damage import TOPK, Fault, metadata, no_base_model

FAULTS = (
    Fault(
        "H001", "mixed_notation", metadata("topk", hook_name="model.layers.1.hook_resid_post"), TOPK
    ),
    Fault("H002", "lens_name_twice", metadata("topk", hf_hook_name="blocks.1.hook_out"), TOPK),
    Fault("H003", "layers_differ", metadata("topk", hf_hook_name="model.layers.0"), TOPK),
    Fault(
        "H004",
        "layer_of_another_folder",
        metadata("topk", hook_name="blocks.0.hook_resid_post", hf_hook_name="model.layers.0"),
        TOPK,
    ),
    Fault("H200", "base_model_not_at_hand", no_base_model, outcome="skipped"),
    Fault("H201", "no_such_module", metadata("topk", hf_hook_name="transformer.h.1"), TOPK),
)  # fmt: skip
