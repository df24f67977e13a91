"""Faults that the checks C notice."""

from __future__ import annotations

from faults.damage import (
    GATED,
    TOPK,
    Fault,
    cfg,
    metadata,
    without,
    without_format_version,
    write_text,
)

FAULTS = (
    Fault("C001", "merge_conflict", write_text(f"{TOPK}/cfg.json", "<<<<<<< HEAD\n{}"), TOPK),
    Fault("C001", "config_is_a_list", write_text(f"{TOPK}/cfg.json", "[]"), TOPK),
    Fault("C002", "flat_config", without("topk", "metadata"), TOPK),
    Fault("C002", "metadata_null", cfg("topk", metadata=None), TOPK),
    Fault("C003", "dtype_missing", without("topk", "dtype"), TOPK),
    Fault("C003", "d_in_is_text", cfg("topk", d_in="16"), TOPK),
    Fault("C004", "architecture_in_wrong_case", cfg("topk", architecture="TopK"), TOPK),
    Fault("C004", "training_only", cfg("topk", architecture="batchtopk"), TOPK),
    Fault("C005", "standard_in_a_topk_folder", cfg("topk", architecture="standard"), TOPK),
    Fault("C006", "k_missing", without("topk", "k"), TOPK),
    Fault("C006", "k_is_a_float", cfg("topk", k=9.0), TOPK),
    Fault("C006", "k_is_true", cfg("topk", k=True), TOPK),
    Fault("C007", "k_of_another_recipe", cfg("topk", k=8), TOPK),
    Fault(
        "C008", "unfolded_scale", cfg("gated", normalize_activations="layer_norm"), GATED
    ),
    Fault("C009", "dtype_fp32", cfg("topk", dtype="fp32"), TOPK),
    Fault("C010", "old_activation_key", cfg("topk", activation_fn="tanh-relu"), TOPK),
    Fault("C011", "other_base_model", metadata("topk", model_name="tiny/llama-base"), TOPK),
    Fault("C012", "path_of_a_machine", metadata("topk", dataset_path="/home/jane/data"), TOPK),
    Fault("C013", "no_format_version", lambda d: d.edit_cfg("topk", without_format_version), TOPK),
)  # fmt: skip
