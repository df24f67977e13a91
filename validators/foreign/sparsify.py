"""eai-sparsify: `layers.12[.mlp]/cfg.json` beside `sae.safetensors`."""

from __future__ import annotations

from collections.abc import Iterator

from validators.foreign.found import ForeignSae
from validators.foreign.listing import Listing, path_in, phrase

_WEIGHTS = "sae.safetensors"
_OWN_KEYS = {"expansion_factor", "num_latents", "normalize_decoder", "multi_topk", "signed"}


def sparsify(listing: Listing) -> Iterator[ForeignSae]:
    """SAEs and transcoders of sparsify, by their weights' name and their config's keys."""
    was_found = False
    for folder, names in listing.holding(_WEIGHTS):
        # After so many that were read, the next of the same names is taken to be one too.
        alike = listing.is_exhausted and was_found and "cfg.json" in names
        cfg = listing.config(folder, "cfg.json")
        shapes = {} if cfg else listing.tensor_shapes(folder, _WEIGHTS)
        by_config = bool(_OWN_KEYS & cfg.keys()) and "d_sae" not in cfg
        if not (alike or by_config or "encoder.weight" in shapes):
            continue
        was_found = True
        files = [path_in(folder, name) for name in (_WEIGHTS, "cfg.json") if name in names]
        kind = "transcoder" if cfg.get("transcode") else cfg.get("activation", "topk")
        detail = phrase(d_in=cfg.get("d_in"), k=cfg.get("k"), activation=kind if cfg else None)
        yield ForeignSae("sparsify", folder, tuple(files), detail or "config not read")
