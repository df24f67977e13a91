"""Hook points: one canonical place in the model, from which both notations follow.

A place is a site (`resid_post`: the residual stream after a block) and a layer index from 0.
The transformers notation is the path of the module whose *output* is read (`model.layers.12`);
the TransformerLens notation is `blocks.12.hook_resid_post`. `blocks.12.hook_resid_post` equals
`hidden_states[13]` of transformers, except after the last block, where transformers applies the
final norm first.
"""

from __future__ import annotations

from typing import Literal

from manifests.errors import ReleaseError

HookSite = Literal["resid_post"]

# The module list that holds the blocks, by transformers' `model_type`. A composite configuration
# (gemma3, gemma4) puts its language model one level deeper than the text-only one.
BLOCKS_PATH = {
    "gemma": "model.layers",
    "gemma2": "model.layers",
    "gemma3": "model.language_model.layers",
    "gemma3_text": "model.layers",
    "gemma4": "model.language_model.layers",
    "gemma4_text": "model.layers",
    "gpt2": "transformer.h",
    "gpt_neox": "gpt_neox.layers",
    "llama": "model.layers",
    "mistral": "model.layers",
    "nanochat": "model.layers",
    "phi": "model.layers",
    "phi3": "model.layers",
    "qwen2": "model.layers",
    "qwen3": "model.layers",
}


class UnknownModelType(ReleaseError):
    """No module path is known for a `model_type`."""

    exit_code = 2


def hf_hook_name(model_type: str, layer: int) -> str:
    """Path of the block whose output is the residual stream after `layer`, as transformers has it.

    Raises:
        UnknownModelType: the table `BLOCKS_PATH` has no entry for the model type.
    """
    try:
        return f"{BLOCKS_PATH[model_type]}.{layer}"
    except KeyError:
        raise UnknownModelType(
            f"no module path is known for model_type {model_type!r}",
            expected=f"one of {', '.join(sorted(BLOCKS_PATH))}",
            next_step="add the family to manifests/hooks.py, with the test that builds its class",
        ) from None


def lens_hook_name(site: HookSite, layer: int) -> str:
    """TransformerLens' name of the same place, `blocks.L.hook_resid_post`."""
    return f"blocks.{layer}.hook_{site}"


def depth_percent(layer: int, n_layers: int) -> float:
    """Share of the model's blocks that an activation after `layer` has passed, in percent.

    `100 * (layer + 1) / n_layers`: the last block's output is at 100%, the first block's at
    `100 / n_layers`. The one convention for depth in this project.
    """
    return 100.0 * (layer + 1) / n_layers
