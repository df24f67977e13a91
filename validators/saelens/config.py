"""Which keys of cfg.json SAELens reads, as plain facts, without importing it.

Taken from sae_lens 6.54.12 (the config classes in `sae_lens.saes`, `LLM_METADATA_KEYS`); a test
compares them with the installed version.
"""

from __future__ import annotations

from validators.saelens.format import (
    INFERENCE_ARCHITECTURES,
    TOPK,
    TRAINING_ONLY_ARCHITECTURES,
    TRANSCODERS,
)

# Keys of every architecture; `architecture` and the version stand beside the class' own fields.
SHARED_KEYS = frozenset(
    {
        "apply_b_dec_to_input",
        "architecture",
        "d_in",
        "d_sae",
        "device",
        "dtype",
        "metadata",
        "normalize_activations",
        "reshape_activations",
        "sae_lens_version",
    }
)

# What one architecture reads beside those.
_OWN_KEYS: dict[str, frozenset[str]] = {
    **{name: frozenset({"k", "rescale_acts_by_decoder_norm"}) for name in TOPK},
    **{name: frozenset({"d_out"}) for name in TRANSCODERS},
    "temporal": frozenset(
        {
            "activation_normalization_factor",
            "bottleneck_factor",
            "kval_topk",
            "n_attn_layers",
            "n_heads",
            "sae_diff_type",
            "tied_weights",
        }
    ),
    "matching_pursuit": frozenset(
        {"max_iterations", "residual_threshold", "stop_on_duplicate_support"}
    ),
}
ARCHITECTURE_KEYS: dict[str, frozenset[str]] = {
    name: _OWN_KEYS.get(name, frozenset()) for name in INFERENCE_ARCHITECTURES
}

# What `save_model` of an SAE in training writes beside those; loading drops it, and rightly.
_TRAINING_TOPK = frozenset(
    {
        "aux_loss_coefficient",
        "decoder_init_norm",
        "k",
        "rescale_acts_by_decoder_norm",
        "use_sparse_activations",
    }
)
TRAINING_KEYS: dict[str, frozenset[str]] = {
    "abstopk": _TRAINING_TOPK,
    "batchtopk": _TRAINING_TOPK | {"topk_threshold_lr"},
    "gated": frozenset({"decoder_init_norm", "l1_coefficient", "l1_warm_up_steps"}),
    "jumprelu": frozenset(
        {
            "decoder_init_norm",
            "jumprelu_bandwidth",
            "jumprelu_init_threshold",
            "jumprelu_sparsity_loss_mode",
            "jumprelu_ste_to_input",
            "jumprelu_tanh_scale",
            "l0_coefficient",
            "l0_warm_up_steps",
            "pre_act_loss_coefficient",
            "target_l0",
        }
    ),
    "matching_pursuit": frozenset({"decoder_init_norm"}) | _OWN_KEYS["matching_pursuit"],
    "matryoshka_batchtopk": _TRAINING_TOPK
    | {"matryoshka_widths", "topk_threshold_lr", "use_matryoshka_aux_loss"},
    "standard": frozenset({"decoder_init_norm", "l1_coefficient", "l1_warm_up_steps", "lp_norm"}),
    "topk": _TRAINING_TOPK,
}
assert set(TRAINING_ONLY_ARCHITECTURES) <= TRAINING_KEYS.keys()

# Keys that say where the SAE belongs. SAELens 6 reads them from `metadata` alone, and moves them
# there itself only when it takes the config for an older one.
PLACE_KEYS = frozenset(
    {
        "context_size",
        "dataset_path",
        "exclude_special_tokens",
        "hf_hook_name",
        "hf_hook_name_out",
        "hook_head_index",
        "hook_head_index_out",
        "hook_name",
        "hook_name_out",
        "model_class_name",
        "model_from_pretrained_kwargs",
        "model_name",
        "neuronpedia_id",
        "prepend_bos",
        "sae_lens_training_version",
        "sae_lens_version",
        "seqpos_slice",
    }
)
# What its trainers write into `metadata` beside those.
TRAINER_METADATA_KEYS = frozenset(
    {
        "disable_concat_sequences",
        "l0",
        "num_dead_features",
        "sequence_separator_token",
        "training_architecture",
        "training_architecture_details",
    }
)

# Normalisations that every vector gets when the SAE runs; all others do nothing once loaded.
NORMALISED_AT_RUNTIME = ("constant_norm_rescale", "layer_norm")
NORMALISED_WHILE_TRAINING = ("covariance_whitening", "expected_average_only_in")


def known_keys(architecture: str) -> frozenset[str]:
    """Top-level keys that SAELens reads or writes for an architecture, inference and training."""
    return (
        SHARED_KEYS
        | ARCHITECTURE_KEYS.get(architecture, frozenset())
        | TRAINING_KEYS.get(architecture, frozenset())
    )


def architectures_with(key: str) -> tuple[str, ...]:
    """Architectures that read a key which not all of them know; empty for an unknown key."""
    return tuple(name for name, keys in ARCHITECTURE_KEYS.items() if key in keys)
