"""A transformers model on torch's meta device: every module, no weights, nothing downloaded."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from manifests.errors import ReleaseError

if TYPE_CHECKING:
    from torch.nn import Module

AutoClass = Literal["AutoModelForCausalLM", "AutoModelForImageTextToText"]

MAX_CONFIG_BYTES = 1_000_000
# Above any published model; a config that claims more would only exhaust the memory.
MAX_LAYERS = 1_000


class ModulePathProblem(ReleaseError):
    """The manifest's base model or hook point is not what transformers builds."""


def meta_model(model_type: str, config: Mapping[str, Any] | None, *, auto_class: AutoClass) -> Any:
    """The transformers model that a config describes, on the meta device.

    Without a config the defaults of the model type: right in its module names, not in its sizes.

    Raises:
        ModulePathProblem: transformers cannot build it.
    """
    import torch
    import transformers

    # Custom code of a repository (`auto_map`) is never run; how weights are quantised and which
    # attention kernel is used do not change the names of the blocks.
    left_out = ("model_type", "auto_map", "quantization_config", "attn_implementation")
    given = {key: value for key, value in (config or {}).items() if key not in left_out}
    model_type = stated_model_type(config) or model_type
    try:
        built = transformers.AutoConfig.for_model(model_type, **given)
        n_layers = built.get_text_config().num_hidden_layers
        if not isinstance(n_layers, int) or not 0 < n_layers <= MAX_LAYERS:
            raise ValueError(f"{n_layers!r:.40} blocks")
        with torch.device("meta"):
            return getattr(transformers, auto_class).from_config(built)
    except Exception as error:
        # Others' code on others' file may raise anything.
        message = " ".join(str(error).split())
        raise ModulePathProblem(
            f"transformers builds no model of it: {type(error).__name__}: {message:.200}",
            where=f"the config of a {model_type}",
            expected=f"a config.json that {auto_class} accepts",
            next_step="copy the model's own config.json; check base_model.auto_class",
        ) from error


def find_block(model: Module, path: str) -> Module:
    """The block at a path such as `model.layers.12`.

    Raises:
        ModulePathProblem: the model has no such module, or it is not one of the blocks; says
            how far the path leads and where the blocks are.
    """
    blocks = block_lists(model)
    parent, _, index = path.rpartition(".")
    if parent in blocks and re.fullmatch(r"[0-9]+", index) and int(index) < blocks[parent]:
        return model.get_submodule(path)
    reached = _longest_prefix(model, path)
    if reached == path:
        what = f"{path!r} is a module of {type(model).__name__}, but not one of its blocks"
    else:
        what = f"{type(model).__name__} has no module {path!r}"
        what += f" (there is {reached!r})" if reached else ""
    shown = ", ".join(f"{name}.0 to {name}.{n - 1}" for name, n in blocks.items())
    raise ModulePathProblem(
        what,
        where="hook point",
        expected=f"a block: {shown}" if shown else "a module of the class",
        next_step="for a new family, add its list of blocks to manifests/hooks.py",
    )


def read_model_config(path: Path) -> dict[str, Any]:
    """A model's config.json.

    Raises:
        ModulePathProblem: it is missing, too large, or not a JSON object.
    """
    expected = f"a model's config.json of at most {MAX_CONFIG_BYTES} bytes"
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ModulePathProblem(
            f"cannot be read: {error.strerror or error}",
            where=str(path),
            expected=expected,
            next_step="copy the file from the model's repository, or drop base_model.config",
        ) from error
    if len(content) > MAX_CONFIG_BYTES:
        raise ModulePathProblem("is too long", where=str(path), expected=expected)
    try:
        data = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ModulePathProblem(
            f"is not JSON: {error}", where=str(path), expected=expected
        ) from error
    if not isinstance(data, dict):
        raise ModulePathProblem("is no JSON object", where=str(path), expected=expected)
    return data


def block_lists(model: Module) -> dict[str, int]:
    """Lists of as many modules as the language model has blocks, outside other towers."""
    import torch

    config: Any = model.config
    n_layers = config.get_text_config().num_hidden_layers
    return {
        name: len(module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList)
        and len(module) == n_layers
        and not re.search(r"vision|audio|encoder", name)
    }


def _longest_prefix(model: Module, path: str) -> str:
    """As much of a dotted path as leads to a module."""
    parts = path.split(".")
    modules = dict(model.named_modules())
    for end in range(len(parts), 0, -1):
        if ".".join(parts[:end]) in modules:
            return ".".join(parts[:end])
    return ""


def stated_model_type(config: Mapping[str, Any] | None) -> str | None:
    """The `model_type` that a config states; None where there is no config or it states none."""
    stated = None if config is None else config.get("model_type")
    return stated if isinstance(stated, str) else None
