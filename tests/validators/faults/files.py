"""Faults that the checks F notice."""

from __future__ import annotations

import shutil
from typing import Any

from faults.damage import (
    TOPK,
    Damage,
    Fault,
    cfg,
    cut_weights_short,
    link_out_of_the_repository,
    remove_everything,
    replace_weights_by_lfs_pointer,
    write_text,
)


def only(name: str) -> Damage:
    def damage(d: Any) -> None:
        remove_everything(d)
        (d.root / name).write_bytes(b"x")

    return damage


OTHER_BASE_MODEL = {
    "base_model": {"stated": "tiny/llama", "used": "tiny/other", "digest": "2" * 64},
    "data": None,
}

FAULTS = (
    Fault("F012", "one_sae_under_two_names",
          lambda d: shutil.copytree(d.sae("topk"), d.root / "another_name"),
          "another_name", outcome="warned"),
    Fault("F001", "empty_repository", remove_everything),
    Fault("F001", "only_weights_of_other_names", only("model.safetensors")),
    Fault("F002", "missing_folder", lambda d: shutil.rmtree(d.sae("topk")), TOPK),
    Fault(
        "F003",
        "left_over_folder",
        lambda d: shutil.copytree(d.sae("topk"), d.root / "tiny_topk_L0_mixed"),
        "tiny_topk_L0_mixed",
    ),
    Fault("F004", "no_config", lambda d: (d.sae("topk") / "cfg.json").unlink(), TOPK),
    Fault("F004", "weights_of_another_name", lambda d: (
        d.sae("topk") / "sae_weights.safetensors"
    ).rename(d.sae("topk") / "sae.safetensors"), TOPK),
    Fault("F005", "weights_cut_short", cut_weights_short, TOPK),
    Fault("F005", "lfs_pointer", replace_weights_by_lfs_pointer, TOPK),
    Fault("F006", "pickled_weights", write_text("ae.pt", "x")),
    Fault("F006", "state_of_a_training_run", write_text(f"{TOPK}/trainer_state.pt", "x"), "",
          "warned"),
    Fault("F007", "link_out_of_the_repository", link_out_of_the_repository),
    Fault("F008", "no_training_record", lambda d: (d.root / "training.json").unlink()),
    Fault(
        "F008",
        "weights_of_other_data",
        lambda d: d.edit_training(lambda r: r["data"].update(sha256="1" * 64)),
    ),
    Fault(
        "F008",
        "weights_of_a_dataset_that_the_manifest_does_not_name",
        lambda d: d.edit_training(lambda r: r["data"].update(dataset="someone/texts")),
    ),
    Fault(
        "F008",
        "another_base_model_in_place_of_the_manifests",
        lambda d: d.edit_training(lambda r: r.update(substituted=OTHER_BASE_MODEL)),
    ),
    Fault("F009", "config_edited_after_training", cfg("topk", device="cuda:0"), TOPK),
    Fault(
        "F009",
        "sae_not_in_training_record",
        lambda d: d.edit_training(lambda r: r["saes"].pop(TOPK)),
        TOPK,
    ),
)  # fmt: skip
