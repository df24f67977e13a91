"""The two notations of a hook name, read without a model: TransformerLens' and a module's path.

`blocks.9.hook_resid_post` is a name of TransformerLens; `model.layers.9` is the path of a module of
transformers, whose output is meant. Gemma Scope 2 ends its paths in `.output` or `.input`, and
SAELens hands that on in `hf_hook_name`.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal

Side = Literal["input", "output"]

# Where in a block: the residual stream, what the two sublayers read and write, and between.
Point = Literal[
    "resid_pre", "resid_mid", "resid_post", "ln1_in", "ln1_out", "ln1_normalized", "ln2_in",
    "ln2_out", "ln2_normalized", "attn_z", "attn_module_out", "attn_out", "mlp_entry", "mlp_in",
    "mlp_post", "mlp_module_out", "mlp_out", "embed", "final_norm_out",
]  # fmt: skip

# HookedTransformer's names and TransformerBridge's. `hook_attn_out` and `hook_mlp_out` are what is
# added to the residual stream, after a post-norm where there is one; `attn.hook_out` and
# `mlp.hook_out` are what the sublayer itself returns.
POINTS: dict[str, Point] = {
    "hook_resid_pre": "resid_pre",
    "hook_in": "resid_pre",
    "ln1.hook_in": "ln1_in",
    "ln1.hook_normalized": "ln1_normalized",
    "ln1.hook_out": "ln1_out",
    "attn.hook_in": "ln1_out",
    "attn.hook_z": "attn_z",
    "attn.o.hook_in": "attn_z",
    "attn.hook_out": "attn_module_out",
    "hook_attn_out": "attn_out",
    "hook_resid_mid": "resid_mid",
    "hook_mlp_in": "mlp_entry",
    "ln2.hook_in": "ln2_in",
    "ln2.hook_normalized": "ln2_normalized",
    "ln2.hook_out": "ln2_out",
    "mlp.hook_in": "mlp_in",
    "mlp.hook_post": "mlp_post",
    "mlp.out.hook_in": "mlp_post",
    "mlp.hook_out": "mlp_module_out",
    "hook_mlp_out": "mlp_out",
    "hook_resid_post": "resid_post",
    "hook_out": "resid_post",
}
POINTS_OUTSIDE_BLOCKS: dict[str, Point] = {
    "hook_embed": "embed",
    "embed.hook_out": "embed",
    "ln_final.hook_out": "final_norm_out",
}
# Real places all the same, whose module is not looked for here.
_OTHER_NAMES = frozenset((
    "hook_attn_in", "hook_q_input", "hook_k_input", "hook_v_input", "attn.hook_q", "attn.hook_k",
    "attn.hook_v", "attn.hook_rot_q", "attn.hook_rot_k", "attn.hook_attn_scores",
    "attn.hook_pattern", "attn.hook_result", "mlp.hook_pre", "mlp.hook_pre_linear", "mlp.hook_mid",
    "ln1.hook_scale", "ln2.hook_scale", "ln1_post.hook_scale", "ln1_post.hook_normalized",
    "ln2_post.hook_scale", "ln2_post.hook_normalized", "hook_pos_embed", "ln_final.hook_scale",
    "ln_final.hook_normalized",
))  # fmt: skip

_IN_A_BLOCK = re.compile(r"blocks\.(\d{1,4})\.((?:\w+\.){0,4}hook_\w+)")
_OUTSIDE = re.compile(r"(?:\w+\.){0,4}hook_\w+")
# A component of TransformerBridge may have any name; its hooks have these.
_BRIDGE_HOOK = re.compile(r"(?:\w+\.)+hook_(?:in|out|normalized|scale)")
_MODULE_PATH = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_LAYER = re.compile(r"(?:.*?\.)?(\d+)(?:\.(.*))?")


@dataclass(frozen=True)
class LensName:
    """A name of TransformerLens.

    Attributes:
        layer: the block, counted from 0; None outside the blocks.
        name: what follows `blocks.L.`, or the whole name outside the blocks.
    """

    layer: int | None
    name: str

    @property
    def point(self) -> Point | None:
        """Which point it names; None where that is not known."""
        table = POINTS_OUTSIDE_BLOCKS if self.layer is None else POINTS
        return table.get(self.name)

    @property
    def is_known(self) -> bool:
        """Whether TransformerLens has a hook of this name in some model."""
        return (
            self.point is not None
            or self.name in _OTHER_NAMES
            or _BRIDGE_HOOK.fullmatch(self.name) is not None
        )

    @property
    def nearest(self) -> str | None:
        """The known name that it is probably a slip of; None where none is near."""
        known = [*(POINTS if self.layer is not None else POINTS_OUTSIDE_BLOCKS), *_OTHER_NAMES]
        near = difflib.get_close_matches(self.name, sorted(known), n=1, cutoff=0.75)
        if not near:
            return None
        return near[0] if self.layer is None else f"blocks.{self.layer}.{near[0]}"


def read_lens_name(name: object) -> LensName | None:
    """A name in TransformerLens' form; None for anything else, half a module's path included."""
    if not isinstance(name, str):
        return None
    if found := _IN_A_BLOCK.fullmatch(name):
        return LensName(int(found[1]), found[2])
    first = name.partition(".")[0]
    if _OUTSIDE.fullmatch(name) and (first.startswith("hook_") or first in _OUTER_COMPONENTS):
        return LensName(None, name)
    return None


_OUTER_COMPONENTS = frozenset(("embed", "pos_embed", "embed_ln", "ln_final", "unembed"))


@dataclass(frozen=True)
class ModulePath:
    """The path of a module of transformers, and whether its output or its input is meant."""

    module: str
    side: Side

    @property
    def layer(self) -> int | None:
        """The first index in the path; None where there is none."""
        found = _LAYER.fullmatch(self.module)
        return int(found[1]) if found and len(found[1]) < 5 else None

    @property
    def within_block(self) -> str | None:
        """What follows the first index; empty for the block itself, None without an index."""
        found = _LAYER.fullmatch(self.module)
        return (found[2] or "") if found else None


def read_module_path(name: object) -> ModulePath | None:
    """A module's path, with or without `.output` or `.input` behind it; None for anything else."""
    if not isinstance(name, str) or len(name) > 300 or not _MODULE_PATH.fullmatch(name):
        return None
    if name.startswith("blocks.") or any(part.startswith("hook_") for part in name.split(".")):
        return None
    module, _, last = name.rpartition(".")
    if module and last == "output":
        return ModulePath(module, "output")
    if module and last == "input":
        return ModulePath(module, "input")
    return ModulePath(name, "output")
