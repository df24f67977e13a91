"""Gemma Scope: `params.npz` in the first release, `params.safetensors` in the second."""

from __future__ import annotations

import re
from collections.abc import Iterator

from validators.foreign.found import ForeignSae
from validators.foreign.listing import Listing, path_in, phrase

_LAYER = re.compile(r"(?:^|[/_])layer_(\d+)")
_WIDTH = re.compile(r"width_(\d+[km])")
_L0 = re.compile(r"(?:average_l0_(\d+)|l0_(small|medium|big|\d+))")
# A cross-layer transcoder has one file for each layer, all in one folder.
_PARAMETERS = re.compile(r"params(?:_layer_(\d+))?\.safetensors")


def gemma_scope_1(listing: Listing) -> Iterator[ForeignSae]:
    """SAEs and transcoders for Gemma 2: no config; the path tells layer, width and L0."""
    for folder, _ in listing.holding("params.npz"):
        yield ForeignSae(
            "gemma_scope_1", folder, (path_in(folder, "params.npz"),), _by_path(folder)
        )


def gemma_scope_2(listing: Listing) -> Iterator[ForeignSae]:
    """SAEs, transcoders and cross-layer transcoders for Gemma 3."""
    for folder, names in listing.folders.items():
        if "cfg.json" in names:
            continue
        for name in sorted(names):
            match = _PARAMETERS.fullmatch(name)
            if match:
                config = [path_in(folder, "config.json")] if "config.json" in names else []
                files = (path_in(folder, name), *config)
                path = folder if match[1] is None else f"{folder}/layer_{match[1]}"
                yield ForeignSae("gemma_scope_2", folder, files, _by_path(path))


def _by_path(folder: str) -> str:
    layer, width, l0 = _LAYER.search(folder), _WIDTH.search(folder), _L0.search(folder)
    kind = next((k for k in ("transcoder", "clt", "embedding") if k in folder), None)
    return (
        phrase(
            layer=layer and layer[1],
            width=width and width[1],
            l0=l0 and (l0[1] or l0[2]),
            kind=kind,
        )
        or "no layer or width in its path"
    )
