"""The places with which a place is confused, and how wide each of them is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from validators.places.block_anatomy import anatomy_of, blocks_path, final_norm_path
from validators.places.lens_names import place_at
from validators.places.notation import Point
from validators.places.place import NoSuchPlace, Place

if TYPE_CHECKING:
    from torch.nn import Module

# How far a layer is miscounted: from 1 instead of 0, or over the embedding, or both.
_MISCOUNTS = (-1, 1, -2, 2)

# Points of the same block, and of the next, under the names that TransformerLens and
# TransformerBridge have for them.
_SAME_BLOCK: tuple[tuple[Point, str], ...] = (
    ("resid_pre", "hook_resid_pre"),
    ("resid_mid", "hook_resid_mid"),
    ("resid_post", "hook_resid_post"),
    ("attn_out", "hook_attn_out"),
    ("mlp_out", "hook_mlp_out"),
    ("attn_module_out", "attn.hook_out"),
    ("mlp_module_out", "mlp.hook_out"),
    ("attn_z", "attn.hook_z"),
    ("ln1_out", "ln1.hook_out"),
    ("ln2_out", "ln2.hook_out"),
)


def alternatives_of(place: Place, model: Module) -> tuple[tuple[str, Place], ...]:
    """Places of the same width that may have been meant, each under TransformerLens' name.

    The same point one and two layers off, the other points of the block, and the first two of the
    next, which reads what the block wrote. The declared place under another name is left out, and
    so is a place that is not known; of two names for one place the first is taken.

    Args:
        place: the declared place.
        model: as transformers builds it; the meta device will do.
    """
    blocks = blocks_path(model)
    if blocks is None:
        return ()
    path, n_blocks = blocks
    layer = _layer_of(place, path)
    if layer is None:
        return ()
    candidates: list[tuple[str, Place]] = []
    points = _points_of(layer, model)
    own = same_place(place, model)
    own_name = next((name for name, found in points if same_place(found, model) == own), None)
    for offset in _MISCOUNTS:
        if 0 <= layer + offset < n_blocks:
            moved = Place(_moved(place.module, path, layer + offset), place.side)
            label = f"blocks.{layer + offset}.{own_name}" if own_name else str(moved)
            candidates.append((label, moved))
    candidates += [(f"blocks.{layer}.{name}", found) for name, found in points]
    candidates += _read_next(layer, path, n_blocks, model)
    modules = dict(model.named_modules())
    width = width_of(place, model)
    chosen: dict[Place, tuple[str, Place]] = {}
    for label, found in candidates:
        one = same_place(found, model)
        if one != own and found.module in modules and width_of(found, model) == width:
            chosen.setdefault(one, (label, found))
    return tuple(chosen.values())


def lens_name_of(place: Place, model: Module) -> str | None:
    """TransformerLens' name of a place inside a block; None where none is known."""
    blocks = blocks_path(model)
    layer = _layer_of(place, blocks[0]) if blocks else None
    if layer is None:
        return None
    own = same_place(place, model)
    # The residual stream after a block goes by that block rather than by the next.
    if own.side == "output" and own.module == place.module and blocks:
        order = sorted(_points_of(layer, model), key=lambda item: item[0] != "hook_resid_post")
    else:
        order = _points_of(layer, model)
    found = next((name for name, other in order if same_place(other, model) == own), None)
    return None if found is None else f"blocks.{layer}.{found}"


def same_place(place: Place, model: Module) -> Place:
    """One name for each activation: the input of a block is the output of the block before."""
    blocks = blocks_path(model)
    if blocks is None or place.side == "output":
        return place
    layer = _layer_of(place, blocks[0])
    if not layer:
        return place
    block = f"{blocks[0]}.{layer}"
    first_norm = anatomy_of(model.get_submodule(block)).ln1
    if place.module in (block, f"{block}.{first_norm}"):
        return Place(f"{blocks[0]}.{layer - 1}")
    return place


def width_of(place: Place, model: Module) -> int | None:
    """Width of the activation at a place; None where it is not known.

    A linear layer knows both of its sides; every other module inside or outside the blocks reads
    and writes the residual stream, as far as this project names them.
    """
    module: Any = dict(model.named_modules()).get(place.module)
    if module is None:
        return None
    if hasattr(module, "in_features") and hasattr(module, "out_features"):
        return int(module.in_features if place.side == "input" else module.out_features)
    if hasattr(module, "nf") and hasattr(module, "nx"):
        # GPT-2's Conv1D.
        return int(module.nx if place.side == "input" else module.nf)
    config: Any = model.config
    return int(config.get_text_config().hidden_size)


def _points_of(layer: int, model: Module) -> list[tuple[str, Place]]:
    """The known points of a block."""
    found = []
    for point, name in _SAME_BLOCK:
        try:
            place = place_at(point, layer, model)
        except NoSuchPlace:
            # hook_resid_mid of a parallel block.
            continue
        if place is not None:
            found.append((name, place))
    return found


def _read_next(layer: int, path: str, n_blocks: int, model: Module) -> list[tuple[str, Place]]:
    """What the next block makes of the residual stream first; after the last one, the final norm.

    transformers' `hidden_states[-1]` is the latter, and not the last block's output.
    """
    if layer + 1 == n_blocks:
        final = final_norm_path(model, path)
        return [] if final is None else [("ln_final.hook_out", Place(final))]
    wanted = ("hook_resid_mid", "ln1.hook_out")
    return [
        (f"blocks.{layer + 1}.{name}", place)
        for name, place in _points_of(layer + 1, model)
        if name in wanted
    ]


def _layer_of(place: Place, path_of_blocks: str) -> int | None:
    found = re.match(re.escape(path_of_blocks) + r"\.(\d+)(?:\.|$)", place.module)
    return int(found[1]) if found else None


def _moved(module: str, path_of_blocks: str, layer: int) -> str:
    """The same module in another block."""
    rest = module[len(path_of_blocks) + 1 :].partition(".")[2]
    return f"{path_of_blocks}.{layer}" + (f".{rest}" if rest else "")
