"""Faults that the checks H notice."""

from __future__ import annotations

from faults.damage import TOPK, Fault, metadata, no_base_model

FAULTS = (
    Fault(
        "H001", "mixed_notation", metadata("topk", hook_name="model.layers.1.hook_resid_post"), TOPK
    ),
    Fault("H001", "no_hook_name", metadata("topk", hook_name=None), TOPK),
    Fault("H001", "slip_of_the_pen", metadata("topk", hook_name="blocks.1.hook_resid_pst"), TOPK),
    Fault("H001", "path_for_lens_name", metadata("topk", hook_name="model.layers.1"), TOPK),
    Fault("H001", "no_text", metadata("topk", hook_name=["blocks.1.hook_resid_post"]), TOPK),
    Fault("H002", "lens_name_twice", metadata("topk", hf_hook_name="blocks.1.hook_out"), TOPK),
    Fault("H002", "no_hf_hook_name", metadata("topk", hf_hook_name=None), TOPK),
    Fault("H003", "layers_differ", metadata("topk", hf_hook_name="model.layers.0"), TOPK),
    Fault(
        "H003",
        "before_and_after_the_block",
        metadata("topk", hook_name="blocks.1.hook_resid_pre"),
        TOPK,
    ),
    Fault(
        "H003", "stream_and_mlp", metadata("topk", hf_hook_name="model.layers.1.mlp"), TOPK
    ),
    Fault(
        "H004",
        "layer_of_another_folder",
        metadata("topk", hook_name="blocks.0.hook_resid_post", hf_hook_name="model.layers.0"),
        TOPK,
    ),
    Fault("H005", "layer_counted_from_one", metadata("topk", hook_layer=2), TOPK),
    Fault("H005", "layer_as_text", metadata("topk", hook_point_layer="1"), TOPK),
    Fault(
        "H006", "second_place", metadata("topk", hook_name_out="blocks.1.hook_mlp_out"), TOPK
    ),
    Fault("H007", "head_of_the_stream", metadata("topk", hook_head_index=0), TOPK),
    Fault(
        "H008",
        "centred_weights",
        metadata("topk", model_from_pretrained_kwargs={"center_writing_weights": True}),
        TOPK,
    ),
    Fault(
        "H101",
        "beyond_the_last_block",
        metadata("topk", hook_name="blocks.2.hook_resid_post", hf_hook_name="model.layers.2"),
        TOPK,
    ),
    Fault(
        "H101",
        "blocks_of_another_class",
        metadata("topk", hf_hook_name="transformer.h.1"),
        TOPK,
    ),
    Fault(
        "H102",
        "another_norm",
        metadata(
            "topk", hook_name="blocks.1.ln2.hook_out",
            hf_hook_name="model.layers.1.input_layernorm",
        ),
        TOPK,
    ),
    Fault(
        "H103",
        "neurons_of_the_mlp",
        metadata(
            "topk", hook_name="blocks.1.mlp.hook_post",
            hf_hook_name="model.layers.1.mlp.down_proj.input",
        ),
        TOPK,
    ),
    Fault("H200", "base_model_not_at_hand", no_base_model, outcome="skipped"),
    Fault("H201", "no_such_module", metadata("topk", hf_hook_name="transformer.h.1"), TOPK),
)  # fmt: skip
