"""What one cfg.json says, whether it is SAELens' nested form or the flat one from before 6.0."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from release.importing.names import TRAINED_ONLY
from release.importing.printable import one_line
from validators.saelens.format import canonical_dtype

HookNotation = Literal["TransformerLens", "module path", "neither"]

_LENS_NAME = re.compile(r"blocks\.(?P<layer>[0-9]{1,4})\.hook_(?P<site>[a-z0-9_]+)")
_MODULE_PATH = re.compile(r"(?:[a-z_0-9]+\.)*(?:layers|h|blocks)\.(?P<layer>[0-9]{1,4})")
_ANY_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(?P<layer>[0-9]{1,4})(?:\.|$)")

# Where a layer, a condition or the base model has been seen, besides SAELens' own keys.
_LAYER_KEYS = ("hook_layer", "hook_point_layer", "layer")
_CONDITION_KEYS = ("training_condition", "condition")
_MODEL_KEYS = ("model_name", "base_model", "hf_model_name")
# More inner dictionaries than anybody nests.
MAX_WIDTHS = 100
_MISNAMED_K = ("top_k", "activation_k", "num_active")


@dataclass(frozen=True)
class HookStatement:
    """One statement of where the activation is read, as it was written.

    `layer` and `site` are what it says; None where it does not say. `neither` is a name that is
    neither TransformerLens' nor a module of a transformers class.
    """

    key: str
    text: str
    notation: HookNotation
    layer: int | None
    site: str | None


@dataclass(frozen=True)
class ConfigFacts:
    """The facts of one cfg.json; None where it states none, or states no such value.

    `trained_as` is `metadata.training_architecture`, and the fields after it are of its details.
    """

    is_nested: bool
    architecture: str | None
    trained_as: str | None
    trained_k: int | None
    trained_widths: tuple[int, ...]
    threshold_is_fixed: bool
    d_in: int | None
    d_sae: int | None
    k: int | None
    misnamed_k: str | None
    dtype: str | None
    hooks: tuple[HookStatement, ...]
    layer_key: int | None
    condition: str | None
    base_model: str | None

    @property
    def claims(self) -> str | None:
        """The architecture in a manifest's words: the trained one, where only that tells it."""
        if self.architecture == "jumprelu" and self.trained_as in TRAINED_ONLY:
            return self.trained_as
        return self.architecture

    @property
    def layer(self) -> int | None:
        """The layer that the first statement names."""
        named = (hook.layer for hook in self.hooks if hook.layer is not None)
        return next(named, self.layer_key)


def config_facts(cfg: Mapping[str, Any]) -> ConfigFacts:
    """Read the facts of one cfg.json; a value of the wrong type counts as not stated."""
    metadata = cfg.get("metadata")
    nested = metadata if isinstance(metadata, dict) else {}
    kwargs = cfg.get("activation_fn_kwargs")
    kwargs = kwargs if isinstance(kwargs, dict) else {}
    k = _size(cfg.get("k"))
    elsewhere = [f"activation_fn_kwargs.{key}" for key in ("k", *_MISNAMED_K) if key in kwargs]
    elsewhere += [key for key in _MISNAMED_K if key in cfg]
    dtype = _text(cfg.get("dtype"))
    details = nested.get("training_architecture_details")
    details = details if isinstance(details, dict) else {}
    return ConfigFacts(
        is_nested=isinstance(metadata, dict),
        architecture=_text(cfg.get("architecture")),
        trained_as=_text(nested.get("training_architecture")),
        trained_k=_first(_size, (details, nested), ("k",)),
        trained_widths=_first(_sizes, (details,), ("widths", "matryoshka_widths")) or (),
        threshold_is_fixed=details.get("threshold") == "fixed_at_zero",
        d_in=_size(cfg.get("d_in")),
        d_sae=_size(cfg.get("d_sae")),
        k=k,
        misnamed_k=elsewhere[0] if k is None and elsewhere else None,
        dtype=canonical_dtype(dtype) if dtype else None,
        hooks=tuple(_hooks(cfg, nested)),
        layer_key=_first(_layer, (cfg, nested), _LAYER_KEYS),
        condition=_first(_text, (nested, cfg), _CONDITION_KEYS),
        base_model=_first(_text, (nested, cfg), _MODEL_KEYS),
    )


def hook_statement(key: str, text: str) -> HookStatement:
    """Tell which notation a hook name is in, and which layer and site it names."""
    if found := _LENS_NAME.fullmatch(text):
        return HookStatement(key, text, "TransformerLens", int(found["layer"]), found["site"])
    if found := _MODULE_PATH.fullmatch(text):
        return HookStatement(key, text, "module path", int(found["layer"]), None)
    layer = _ANY_LAYER.search(text)
    return HookStatement(key, text, "neither", int(layer["layer"]) if layer else None, None)


def _hooks(cfg: Mapping[str, Any], nested: Mapping[str, Any]) -> list[HookStatement]:
    return [
        hook_statement(f"{prefix}{key}", text)
        for source, prefix in ((nested, "metadata."), (cfg, ""))
        for key in ("hook_name", "hf_hook_name", "hook_point")
        if (text := _text(source.get(key))) is not None
    ]


def _first(read: Any, sources: tuple[Mapping[str, Any], ...], keys: tuple[str, ...]) -> Any:
    """The first value under one of several keys that can be read."""
    values = (read(source.get(key)) for source in sources for key in keys)
    return next((value for value in values if value is not None), None)


def _text(value: Any) -> str | None:
    return one_line(value) or None if isinstance(value, str) else None


def _size(value: Any) -> int | None:
    """A positive whole number that JSON wrote as one."""
    is_size = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40
    return value if is_size else None


def _sizes(value: Any) -> tuple[int, ...] | None:
    """A list of few positive whole numbers."""
    if not isinstance(value, list) or not 0 < len(value) <= MAX_WIDTHS:
        return None
    sizes = tuple(size for each in value if (size := _size(each)) is not None)
    return sizes if len(sizes) == len(value) else None


def _layer(value: Any) -> int | None:
    is_layer = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10_000
    return value if is_layer else None
