"""Faults that the checks C notice."""

from __future__ import annotations

from typing import Any

from faults.damage import (
    GATED,
    JUMPRELU,
    TOPK,
    Damage,
    Fault,
    cfg,
    metadata,
    without,
    without_format_version,
    write_text,
)


def rename(architecture: str, key: str, name: str) -> Damage:
    return lambda d: d.edit_cfg(architecture, lambda c: c.update({name: c.pop(key)}))


def hide_k(d: Any) -> None:
    d.edit_cfg("topk", lambda c: c.update(activation_fn_kwargs={"k": c.pop("k")}))


FAULTS = (
    Fault("C001", "merge_conflict", write_text(f"{TOPK}/cfg.json", "<<<<<<< HEAD\n{}"), TOPK),
    Fault("C001", "config_is_a_list", write_text(f"{TOPK}/cfg.json", "[]"), TOPK),
    Fault("C002", "flat_config", without("topk", "metadata"), TOPK),
    Fault("C002", "metadata_null", cfg("topk", metadata=None), TOPK),
    Fault("C003", "dtype_missing", without("topk", "dtype"), TOPK),
    Fault("C003", "d_in_is_text", cfg("topk", d_in="16"), TOPK),
    Fault("C003", "switch_missing", without("gated", "apply_b_dec_to_input"), GATED),
    Fault("C003", "switch_is_text", cfg("gated", apply_b_dec_to_input="true"), GATED),
    Fault("C004", "architecture_with_underscore", cfg("topk", architecture="top_k"), TOPK),
    Fault("C004", "architecture_of_nobody", cfg("topk", architecture="crosscoder"), TOPK),
    Fault("C004", "architecture_is_a_list", cfg("topk", architecture=["topk"]), TOPK),
    Fault("C004", "architecture_in_wrong_case", cfg("topk", architecture="TopK"), TOPK),
    Fault("C004", "training_only", cfg("topk", architecture="batchtopk"), TOPK),
    Fault("C005", "standard_in_a_topk_folder", cfg("topk", architecture="standard"), TOPK),
    Fault("C006", "k_missing", without("topk", "k"), TOPK),
    Fault("C006", "k_is_a_float", cfg("topk", k=9.0), TOPK),
    Fault("C006", "k_is_true", cfg("topk", k=True), TOPK),
    Fault("C006", "k_is_text", cfg("topk", k="9"), TOPK),
    Fault("C006", "k_is_zero", cfg("topk", k=0), TOPK),
    Fault("C006", "k_above_d_sae", cfg("topk", k=65), TOPK),
    Fault("C006", "k_under_another_name", rename("topk", "k", "top_k"), TOPK),
    Fault("C006", "k_in_activation_fn_kwargs", hide_k, TOPK),
    Fault("C007", "k_of_another_recipe", cfg("topk", k=8), TOPK),
    Fault(
        "C008", "unfolded_scale", cfg("gated", normalize_activations="layer_norm"), GATED
    ),
    Fault(
        "C008",
        "scaling_of_training",
        cfg("gated", normalize_activations="expected_average_only_in"),
        GATED,
    ),
    Fault(
        "C008", "whitening_of_training",
        cfg("gated", normalize_activations="covariance_whitening"), GATED,
    ),
    Fault("C008", "normalisation_null", cfg("gated", normalize_activations=None), GATED),
    Fault("C008", "normalisation_false", cfg("gated", normalize_activations=False), GATED),
    Fault("C009", "dtype_fp32", cfg("topk", dtype="fp32"), TOPK),
    Fault("C010", "old_activation_key", cfg("topk", activation_fn="tanh-relu"), TOPK),
    Fault("C011", "other_base_model", metadata("topk", model_name="tiny/llama-base"), TOPK),
    Fault("C012", "path_inside_a_text",
          metadata("topk", dataset_path="json:/Users/jane/data.jsonl"), TOPK),
    Fault("C012", "windows_path", metadata("topk", dataset_path="C:\\Users\\jane"), TOPK),
    Fault("C012", "path_of_a_machine", metadata("topk", dataset_path="/home/jane/data"), TOPK),
    Fault("C013", "no_format_version", lambda d: d.edit_cfg("topk", without_format_version), TOPK),
    Fault("C013", "version_before_six", metadata("topk", sae_lens_version="5.9.1"), TOPK),
    Fault("C014", "misspelt_key", cfg("topk", apply_b_dec_to_inputs=False), TOPK),
    Fault("C014", "key_of_nobody", cfg("topk", trained_by="us"), TOPK),
    Fault("C015", "misspelt_in_metadata", metadata("topk", contextsize=128), TOPK),
    Fault("C016", "hook_at_the_top_differs", cfg("topk", hook_name="blocks.0.hook_resid_post"),
          TOPK),
    Fault("C016", "context_only_at_the_top", cfg("topk", context_size=128), TOPK),
    Fault("C016", "model_in_both_places", cfg("topk", model_name="tiny/llama"), TOPK, "warned"),
    Fault("C017", "topk_labelled_gated", cfg("gated", k=9), GATED),
    Fault("C017", "rescaling_of_topk", cfg("jumprelu", rescale_acts_by_decoder_norm=True),
          JUMPRELU),
    Fault("C017", "k_of_batchtopk", cfg("jumprelu", k=9), JUMPRELU, "warned"),
    Fault("C018", "transcoder_without_d_out",
          cfg("topk", architecture="transcoder", apply_b_dec_to_input=False), TOPK),
    Fault("C018", "transcoder_subtracts_b_dec", cfg("topk", architecture="transcoder", d_out=16),
          TOPK),
    Fault("C018", "temporal_without_heads", cfg("topk", architecture="temporal"), TOPK),
    Fault("C018", "pursuit_without_threshold", cfg("topk", architecture="matching_pursuit"), TOPK),
    Fault("C018", "switch_is_a_number", cfg("topk", rescale_acts_by_decoder_norm=1), TOPK),
    Fault("C019", "hook_z_at_the_residual_stream", cfg("topk", reshape_activations="hook_z"), TOPK),
    Fault("C019", "unknown_reshaping", cfg("topk", reshape_activations="heads"), TOPK),
    Fault("C020", "accelerator", cfg("topk", device="cuda:0"), TOPK),
    Fault("C021", "hub_token", metadata("topk", note="hf_" + 34 * "a"), TOPK),
    Fault("C021", "token_by_its_key", metadata("topk", wandb_api_key=40 * "0"), TOPK),
    Fault("C021", "api_key_in_a_list", metadata("topk", env=["sk-" + 40 * "a"]), TOPK),
    Fault("C021", "password_in_a_url",
          metadata("topk", mlflow="https://jane:pass@mlflow.example.org"), TOPK),
    Fault("C022", "address", metadata("topk", run_by="jane@university.edu"), TOPK),
    Fault("C022", "account", metadata("topk", wandb_entity="jane"), TOPK),
    Fault("C023", "other_architecture", cfg("topk", architecture="gated"), TOPK),
    Fault("C023", "other_layer", metadata("topk", hook_name="blocks.0.hook_resid_post",
                                          hf_hook_name="model.layers.0"), TOPK),
    Fault("C024", "one_of_another_model", metadata("topk", model_name="tiny/llama-2")),
)  # fmt: skip
