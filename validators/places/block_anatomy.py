"""The parts of a transformer block as transformers names them, family by family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from manifests.hooks import BLOCKS_PATH
from validators.places.meta_model import block_lists

if TYPE_CHECKING:
    from torch.nn import Module

_ATTENTION = ("self_attn", "attn", "attention")
_MLP = ("mlp", "feed_forward")
_LN1 = ("input_layernorm", "ln_1")
_BEFORE_MLP = ("pre_feedforward_layernorm", "ln_2")
_AFTER_ATTENTION = ("post_self_attn_layernorm", "post_attention_layernorm")
_AFTER_MLP = ("post_feedforward_layernorm", "post_mlp_layernorm")
_ATTENTION_PROJECTION = ("o_proj", "c_proj", "dense", "out_proj")
_MLP_PROJECTION = ("down_proj", "c_proj", "dense_4h_to_h", "fc2", "fc_out")
_FINAL_NORM = ("norm", "ln_f", "final_layer_norm", "final_layernorm")


@dataclass(frozen=True)
class BlockAnatomy:
    """Paths of a block's parts, relative to the block; None: it has none, or it is not known.

    Attributes:
        attention: the attention sublayer.
        attention_projection: the linear map from the heads to the residual stream.
        mlp: the MLP sublayer.
        mlp_projection: the linear map from its neurons to the residual stream.
        ln1: the norm before attention.
        ln2: the norm before the MLP.
        after_attention: the norm of what attention returns, before it is added.
        after_mlp: the same for the MLP.
        is_parallel: attention and MLP read the same residual stream; nothing lies between them.
        scales_what_it_adds: what is added to the residual stream is no module's output.
    """

    attention: str | None
    attention_projection: str | None
    mlp: str | None
    mlp_projection: str | None
    ln1: str | None
    ln2: str | None
    after_attention: str | None
    after_mlp: str | None
    is_parallel: bool
    scales_what_it_adds: bool


def anatomy_of(block: Module) -> BlockAnatomy:
    """What a block is made of.

    `post_attention_layernorm` is the norm before the MLP in Llama and its kin, but the norm after
    attention where there is another one before the MLP (Gemma 2 and later, GLM-4) or where the
    block begins without a norm (OLMo 2).
    """
    children = {name for name, _ in block.named_children()}
    attention, mlp = _first(_ATTENTION, children), _first(_MLP, children)
    ln1, ln2 = _first(_LN1, children), _first(_BEFORE_MLP, children)
    after_attention = _first(_AFTER_ATTENTION, children)
    if ln2 is None and ln1 is not None:
        if after_attention == "post_attention_layernorm":
            ln2, after_attention = after_attention, None
        elif after_attention is not None and "post_attention_layernorm" in children:
            ln2 = "post_attention_layernorm"
    stated = getattr(block, "use_parallel_residual", None)
    return BlockAnatomy(
        attention=attention,
        attention_projection=_below(block, attention, _ATTENTION_PROJECTION),
        mlp=mlp,
        mlp_projection=_below(block, mlp, _MLP_PROJECTION),
        ln1=ln1,
        ln2=ln2,
        after_attention=after_attention,
        after_mlp=_first(_AFTER_MLP, children),
        is_parallel=bool(stated) if stated is not None else ln1 is not None and ln2 is None,
        scales_what_it_adds=hasattr(block, "residual_multiplier"),
    )


def blocks_path(model: Module) -> tuple[str, int] | None:
    """Path of the list of the language model's blocks and their number; None: it is not known."""
    try:
        lists = block_lists(model)
    except AttributeError:
        # A configuration without `num_hidden_layers`.
        return None
    config: Any = model.config
    known = BLOCKS_PATH.get(str(getattr(config, "model_type", "")))
    if known in lists:
        return known, lists[known]
    # A list inside a block, of experts perhaps, may have as many members by chance.
    outer = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    return (outer[0], lists[outer[0]]) if len(outer) == 1 else None


def final_norm_path(model: Module, path_of_blocks: str) -> str | None:
    """Path of the norm after the last block, which stands beside the list of blocks."""
    parent = path_of_blocks.rpartition(".")[0]
    children = {name for name, _ in model.get_submodule(parent).named_children()}
    found = _first(_FINAL_NORM, children)
    return found and (f"{parent}.{found}" if parent else found)


def embedding_path(model: Module) -> str | None:
    """Path of the token embedding."""
    embedding = model.get_input_embeddings()  # type: ignore[operator]
    return next((name for name, module in model.named_modules() if module is embedding), None)


def _first(names: tuple[str, ...], children: set[str]) -> str | None:
    return next((name for name in names if name in children), None)


def _below(block: Module, part: str | None, names: tuple[str, ...]) -> str | None:
    """The projection inside a sublayer: a child of it, or of the one module that it wraps."""
    if part is None:
        return None
    sublayer = block.get_submodule(part)
    inner = [("", sublayer), *((f".{n}", m) for n, m in sublayer.named_children())]
    for below, module in inner:
        found = _first(names, {name for name, _ in module.named_children()})
        if found:
            return f"{part}{below}.{found}"
    return None
