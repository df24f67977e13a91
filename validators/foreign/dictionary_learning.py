"""dictionary_learning: `trainer_0/ae.pt` beside `config.json`; and SAEBench's own classes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from validators.foreign.found import ForeignSae
from validators.foreign.listing import Listing, is_pickle, path_in, phrase

_STEP = re.compile(r"(?:ae|checkpoint)_\d+\.pt")
# `CustomSAEConfig` of SAEBench: a layer as a number beside a hook, and no nested metadata.
_SAEBENCH_KEYS = {"d_in", "d_sae", "hook_layer", "hook_name", "model_name"}


def dictionary_learning(listing: Listing) -> Iterator[ForeignSae]:
    """Dictionaries that `trainSAE` saved; files of its checkpoints go with the folder above."""
    for folder, names in listing.holding("ae.pt"):
        trainer = _trainer(listing.config(folder, "config.json"))
        steps = path_in(folder, "checkpoints")
        files = [path_in(folder, name) for name in ("ae.pt", "config.json") if name in names]
        files += [
            path_in(steps, name)
            for name in sorted(listing.folders.get(steps, ()))
            if _STEP.fullmatch(name)
        ]
        detail = phrase(
            dict_class=trainer.get("dict_class"),
            activation_dim=trainer.get("activation_dim"),
            dict_size=trainer.get("dict_size"),
            k=trainer.get("k"),
            layer=trainer.get("layer"),
            lm_name=trainer.get("lm_name"),
        )
        yield ForeignSae(
            "dictionary_learning", folder, tuple(files), detail or "no config.json of a trainer"
        )


def saebench(listing: Listing) -> Iterator[ForeignSae]:
    """Custom SAEs of SAEBench: its config, dumped to `config.json`, and weights beside it."""
    for folder, names in listing.holding("config.json"):
        weights = sorted(n for n in names if is_pickle(n) or n.endswith((".npz", ".safetensors")))
        if not weights or names & {"ae.pt", "cfg.json"}:
            continue
        cfg = listing.config(folder, "config.json")
        if not cfg.keys() >= _SAEBENCH_KEYS or "metadata" in cfg:
            continue
        files = [path_in(folder, name) for name in (*weights, "config.json")]
        detail = phrase(
            architecture=cfg.get("architecture"),
            d_in=cfg["d_in"],
            d_sae=cfg["d_sae"],
            hook_name=cfg["hook_name"],
        )
        yield ForeignSae("saebench", folder, tuple(files), detail)


def _trainer(cfg: dict[str, Any]) -> dict[str, Any]:
    trainer = cfg.get("trainer")
    return trainer if isinstance(trainer, dict) else {}
