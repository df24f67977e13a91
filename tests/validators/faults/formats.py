"""Faults that the checks F010 on notice."""

from __future__ import annotations

import json
import pickle
from typing import Any

import torch
from faults.damage import TOPK, Damage, Fault, remove_everything, write_text
from safetensors.torch import save_file


class RunsCode:
    """Opened as a pickle, it would print; nothing must ever open it so."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("this pickle was run",)


def add_sparsify(d: Any, folder: str = "layers.1") -> None:
    path = d.root / folder
    path.mkdir(parents=True)
    cfg = {"activation": "topk", "expansion_factor": 4, "num_latents": 0, "k": 9, "d_in": 16}
    (path / "cfg.json").write_text(json.dumps(cfg), encoding="utf-8")
    save_file({"encoder.weight": torch.ones(64, 16)}, path / "sae.safetensors")


def only_sparsify(d: Any) -> None:
    remove_everything(d)
    add_sparsify(d)


def replace_the_named_sae(d: Any) -> None:
    for file in d.sae("topk").iterdir():
        file.unlink()
    d.sae("topk").rmdir()
    add_sparsify(d, TOPK)


def add_pickle(content: object) -> Damage:
    return lambda d: (d.root / "ae.pt").write_bytes(pickle.dumps(content, protocol=2))


FAULTS = (
    Fault("F010", "only_another_projects", only_sparsify),
    Fault("F010", "in_place_of_a_named_sae", replace_the_named_sae),
    Fault("F010", "beside_saelens_own", add_sparsify, outcome="warned"),
    Fault("F011", "swap_file", write_text(f"{TOPK}/.cfg.json.swp", "x")),
    Fault("F011", "finder", write_text(".DS_Store", "x")),
    Fault("F011", "backup", write_text("README.md~", "x")),
    Fault("F110", "pickle_with_code", add_pickle(RunsCode())),
    Fault("F110", "no_pickle_at_all", write_text("ae.pt", "x")),
)
