"""Where in a transformers model an SAE reads, from whatever its config says, and what is near."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from manifests.errors import ReleaseError
from validators.places.notation import Side, read_lens_name, read_module_path

if TYPE_CHECKING:
    from torch.nn import Module


class NoSuchPlace(ReleaseError):
    """The model has no such place: the name is wrong for it."""


class UnknownPlace(ReleaseError):
    """The name may be right, but which module it means in this model is not known."""


@dataclass(frozen=True, order=True)
class Place:
    """One activation of a transformers model: what goes into a module, or comes out of it.

    Attributes:
        module: path of the module in `model.named_modules()`, such as `model.layers.9`.
        side: its first argument, or its output (the first element of it where it is a tuple).
    """

    module: str
    side: Side = "output"

    def __str__(self) -> str:
        return self.module if self.side == "output" else f"{self.module} (input)"


def declared_place(metadata: Mapping[str, Any], model: Module) -> Place:
    """The place that an SAE's metadata names.

    `hf_hook_name` decides where it is stated, since it needs no interpretation; else `hook_name`,
    as a module's path (SAELens writes that for `AutoModelForCausalLM`) or as TransformerLens' name.

    Args:
        metadata: `metadata` of cfg.json.
        model: as transformers builds it; the meta device will do.

    Raises:
        NoSuchPlace: nothing is named, or the model does not have it.
        UnknownPlace: it is a name whose module in this model is not known.
    """
    for key in ("hf_hook_name", "hook_name"):
        name = metadata.get(key)
        if name is not None:
            return named_place(name, model, where=f"metadata.{key}")
    raise NoSuchPlace(
        "neither hf_hook_name nor hook_name is there",
        where="metadata",
        expected="the place that the SAE reads, such as blocks.8.hook_resid_post",
        next_step="write it into cfg.json",
    )


def named_place(name: object, model: Module, *, where: str) -> Place:
    """The place that one hook name means, in either notation; errors as `declared_place`."""
    from validators.places.lens_names import place_of_lens_name

    lens = read_lens_name(name)
    if lens is not None:
        return place_of_lens_name(lens, model, where=where)
    path = read_module_path(name)
    if path is None:
        raise NoSuchPlace(
            f"{name!r:.80} is neither a module's path nor a name of TransformerLens",
            where=where,
            expected="such as model.layers.8 or blocks.8.hook_resid_post",
            next_step="write one of them into cfg.json",
        )
    if path.module not in dict(model.named_modules()):
        raise NoSuchPlace(
            f"{type(model).__name__} has no module {path.module!r}",
            where=where,
            expected=_blocks_of(model),
            next_step="look the path up in model.named_modules()",
        )
    return Place(path.module, path.side)


def _blocks_of(model: Module) -> str:
    from validators.places.block_anatomy import blocks_path

    found = blocks_path(model)
    if found is None:
        return "a path that model.named_modules() lists"
    path, n_blocks = found
    return f"a module's path; the blocks are {path}.0 to {path}.{n_blocks - 1}"


def columns_of(metadata: Mapping[str, Any], place: Place, model: Module) -> slice:
    """Which columns of the activation an SAE reads: all, or one head's where it names a head.

    `hook_head_index` h of `attn.hook_z` means columns h * d_head to (h + 1) * d_head of what goes
    into the projection of the attention.

    Raises:
        NoSuchPlace: the model has no such head, or the place has no heads.
    """
    head = metadata.get("hook_head_index")
    if head is None:
        return slice(None)
    from validators.places.neighbours import width_of

    width, n_heads = width_of(place, model), _n_heads(model)
    is_heads = place.side == "input" and place.module.rpartition(".")[2] != "mlp"
    if type(head) is not int or not is_heads or not width or not 0 <= head < n_heads:
        raise NoSuchPlace(
            f"{head!r:.20} is no head of {place}",
            where="metadata.hook_head_index",
            expected=f"0 to {n_heads - 1} with attn.hook_z, or null",
            next_step="write null unless the SAE reads one head",
        )
    d_head = width // n_heads
    return slice(head * d_head, (head + 1) * d_head)


def _n_heads(model: Module) -> int:
    config: Any = model.config
    return int(config.get_text_config().num_attention_heads)
