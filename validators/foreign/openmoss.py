"""OpenMOSS (Language-Model-SAEs, llamascopium) and the Llama Scope releases made with it."""

from __future__ import annotations

from collections.abc import Iterator

from validators.foreign.found import ForeignSae
from validators.foreign.listing import Listing, parent_of, path_in, phrase

_WEIGHTS = "sae_weights.safetensors"
_DISTRIBUTED = "sae_weights.dcp"
_OTHER_WEIGHTS = ("sae_weights.pt",)


def llama_scope(listing: Listing) -> Iterator[ForeignSae]:
    """Llama Scope: `hyperparams.json`, and the weights in the folder `checkpoints` below it."""
    for folder, names in listing.folders.items():
        if folder.rpartition("/")[2] != "checkpoints" or not listing.has(
            parent_of(folder), "hyperparams.json"
        ):
            continue
        weights = sorted(name for name in names if name.endswith(".safetensors"))
        if not weights:
            continue
        above = parent_of(folder)
        cfg = listing.config(above, "hyperparams.json")
        files = [path_in(folder, name) for name in weights]
        detail = phrase(
            d_in=cfg.get("d_model"), d_sae=cfg.get("d_sae"), hook=cfg.get("hook_point_in")
        )
        yield ForeignSae(
            "llama_scope",
            above,
            (*files, path_in(above, "hyperparams.json")),
            detail or "hyperparams.json could not be read",
        )


def openmoss(listing: Listing) -> Iterator[ForeignSae]:
    """OpenMOSS' own format; with `log_jumprelu_threshold` it is the one of Llama Scope R1."""
    was_found = None
    for folder, names in listing.folders.items():
        distributed = listing.folders.get(path_in(folder, _DISTRIBUTED), frozenset())
        weights = [name for name in (_WEIGHTS, *_OTHER_WEIGHTS) if name in names]
        if "cfg.json" in names or not (weights or distributed):
            continue
        # After so many that were read, the next of the same names is taken to be one too.
        alike = was_found if listing.is_exhausted and "config.json" in names else None
        cfg = listing.config(folder, "config.json") if "config.json" in names else {}
        shapes = listing.tensor_shapes(folder, _WEIGHTS)
        is_theirs = "sae_type" in cfg or {"d_model", "expansion_factor"} <= cfg.keys()
        if "log_jumprelu_threshold" in shapes:
            was_found = "llama_scope_r1"
        elif is_theirs or "encoder.weight" in shapes:
            was_found = "openmoss"
        elif not alike:
            continue
        files = [path_in(folder, name) for name in weights]
        files += [f"{path_in(folder, _DISTRIBUTED)}/{name}" for name in sorted(distributed)]
        files += [path_in(folder, "config.json")] if "config.json" in names else []
        detail = phrase(
            sae_type=cfg.get("sae_type"),
            d_in=cfg.get("d_model"),
            expansion=cfg.get("expansion_factor"),
            act_fn=cfg.get("act_fn"),
            hook=cfg.get("hook_point_in"),
        )
        assert was_found is not None
        yield ForeignSae(was_found, folder, tuple(files), detail or "config not read")
