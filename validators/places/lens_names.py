"""TransformerLens' names as places of a transformers model, by the anatomy of its blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validators.places.block_anatomy import (
    BlockAnatomy,
    anatomy_of,
    blocks_path,
    embedding_path,
    final_norm_path,
)
from validators.places.notation import LensName, Point
from validators.places.place import NoSuchPlace, Place, UnknownPlace

if TYPE_CHECKING:
    from torch.nn import Module


def place_of_lens_name(name: LensName, model: Module, *, where: str) -> Place:
    """The place that a name of TransformerLens means in a model.

    Raises:
        NoSuchPlace: the model has no such layer or no such point.
        UnknownPlace: it has, or may have, but no module is known whose input or output it is.
    """
    shown = name.name if name.layer is None else f"blocks.{name.layer}.{name.name}"
    if name.point is None:
        if name.is_known or name.nearest is None:
            raise UnknownPlace(
                f"no module of transformers is known for {shown}",
                where=where,
                next_step="state the module's path in metadata.hf_hook_name",
            )
        raise NoSuchPlace(
            f"{shown} is no hook of TransformerLens",
            where=where,
            expected=name.nearest,
            next_step="correct the name",
        )
    if name.layer is None:
        place = _outside_blocks(name.point, model)
    else:
        place = place_at(name.point, name.layer, model, where=where)
    if place is None:
        raise UnknownPlace(
            f"which module of {type(model).__name__} is {shown} is not known",
            where=where,
            next_step="state the module's path in metadata.hf_hook_name",
        )
    return place


def place_at(point: Point, layer: int, model: Module, *, where: str = "place") -> Place | None:
    """A point of one block; None where its module is not known.

    Raises:
        NoSuchPlace: there is no such layer, or the block has no such point.
    """
    blocks = blocks_path(model)
    if blocks is None:
        return None
    path, n_blocks = blocks
    if layer >= n_blocks:
        raise NoSuchPlace(
            f"layer {layer} of a model with {n_blocks} blocks",
            where=where,
            expected=f"a layer from 0 to {n_blocks - 1}, counted from 0",
            next_step="correct the layer, or name the right base model",
        )
    block_path = f"{path}.{layer}"
    if point == "resid_post":
        return Place(block_path)
    if point in ("resid_pre", "ln1_in"):
        return Place(block_path, "input")
    block = model.get_submodule(block_path)
    anatomy = anatomy_of(block)
    if point == "resid_mid" and anatomy.is_parallel:
        raise NoSuchPlace(
            f"hook_resid_mid: attention and MLP of {type(model).__name__} are parallel, so "
            "nothing lies between them",
            where=where,
            expected="hook_resid_pre or hook_resid_post",
            next_step="name the place that the SAE was trained on",
        )
    found = _within_block(point, anatomy, block)
    return None if found is None else Place(f"{block_path}.{found.module}", found.side)


def _within_block(point: Point, anatomy: BlockAnatomy, block: Module) -> Place | None:
    """A point's place relative to its block."""
    match point:
        case "ln1_out":
            return _output(anatomy.ln1)
        case "ln1_normalized":
            return _normalized(anatomy.ln1, block)
        case "attn_z":
            return _input(anatomy.attention_projection)
        case "attn_module_out":
            return _output(anatomy.attention)
        case "attn_out":
            # What is added to the residual stream, hence after a post-norm.
            scaled = anatomy.scales_what_it_adds
            return None if scaled else _output(anatomy.after_attention or anatomy.attention)
        case "resid_mid" | "mlp_entry":
            # In a block that norms only what it adds, the MLP reads the residual stream itself.
            is_post_norm = anatomy.ln1 is None and anatomy.after_attention is not None
            return _input(anatomy.ln2 or (anatomy.mlp if is_post_norm else None))
        case "ln2_in":
            return _input(anatomy.ln2)
        case "ln2_out":
            return _output(anatomy.ln2)
        case "ln2_normalized":
            return _normalized(anatomy.ln2, block)
        case "mlp_in":
            return _input(anatomy.mlp)
        case "mlp_post":
            return _input(anatomy.mlp_projection)
        case "mlp_module_out":
            return _output(anatomy.mlp)
        case "mlp_out":
            scaled = anatomy.scales_what_it_adds
            return None if scaled else _output(anatomy.after_mlp or anatomy.mlp)
        case _:
            return None


def _output(path: str | None) -> Place | None:
    return None if path is None else Place(path)


def _input(path: str | None) -> Place | None:
    return None if path is None else Place(path, "input")


def _normalized(path: str | None, block: Module) -> Place | None:
    """The norm's output where it has no weights: `hook_normalized` comes before they multiply."""
    if path is None or any(True for _ in block.get_submodule(path).parameters()):
        return None
    return Place(path)


def _outside_blocks(point: Point, model: Module) -> Place | None:
    if point == "embed":
        return _output(embedding_path(model))
    blocks = blocks_path(model)
    return None if blocks is None else _output(final_norm_path(model, blocks[0]))
