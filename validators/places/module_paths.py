"""Is the manifest's hook point a module of the real transformers class?

How many blocks there are and how wide the residual stream is
stands in the model's own config.json; the defaults of a configuration class are not the model's,
so without that file these are not checked.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from manifests.base_model import BaseModelSpec
from manifests.errors import MissingExtra
from manifests.hooks import BLOCKS_PATH, UnknownModelType, hf_hook_name
from validators.places.meta_model import (
    ModulePathProblem,
    block_lists,
    find_block,
    meta_model,
    read_model_config,
    stated_model_type,
)

AspectName = Literal["model_type", "module_path", "n_layers", "d_model"]
Outcome = Literal["agrees", "differs", "not_checked"]

_NO_CONFIG = "base_model.config names no copy of the model's config.json"


@dataclass(frozen=True)
class Aspect:
    """One fact of the manifest held against the class.

    `reason` says why it was not checked, and is empty otherwise; `problem` is there where the
    outcome is `differs`.
    """

    name: AspectName
    outcome: Outcome
    reason: str = ""
    problem: ModulePathProblem | None = None


@dataclass(frozen=True)
class ModulePathReport:
    """What holding a base model's description against transformers' class showed.

    `class_name` is the class that the auto class chooses; None where none could be built.
    """

    class_name: str | None
    aspects: tuple[Aspect, ...]

    @property
    def problems(self) -> tuple[ModulePathProblem, ...]:
        """What differs, in the order of the aspects."""
        return tuple(aspect.problem for aspect in self.aspects if aspect.problem is not None)

    def outcome_of(self, name: AspectName) -> Outcome:
        """The outcome of one aspect."""
        return next(aspect.outcome for aspect in self.aspects if aspect.name == name)


def check_module_path(
    spec: BaseModelSpec,
    config: Mapping[str, Any] | Path | None,
    *,
    layers: Collection[int] = (),
) -> ModulePathReport:
    """Hold `model_type`, module path, `n_layers` and `d_model` against transformers' class.

    Args:
        spec: the manifest's `base_model`.
        config: the model's config.json, read or as a file; None where the manifest has none.
        layers: layers whose blocks are looked up, besides the first and the last.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ModulePathProblem: the config file cannot be read.
    """
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(needed_for="checking module paths", package=package, extra="measure")
    data = read_model_config(config) if isinstance(config, Path) else config
    aspects = [_model_type(spec, data)]
    if not _is_known(spec.model_type):
        return _without_class(None, aspects, "transformers does not know the model_type")
    try:
        model = meta_model(spec.model_type, data, auto_class=spec.auto_class)
    except ModulePathProblem as problem:
        aspects.append(Aspect("module_path", "differs", problem=problem))
        return _without_class(None, aspects, "the class could not be built")
    aspects.append(_module_path(spec, model, None if data is None else layers))
    if data is None:
        return _without_class(type(model).__name__, aspects, _NO_CONFIG)
    text_config = model.config.get_text_config()
    aspects.append(_number("n_layers", spec.n_layers, text_config.num_hidden_layers))
    aspects.append(_number("d_model", spec.d_model, text_config.hidden_size))
    return ModulePathReport(type(model).__name__, tuple(aspects))


def _without_class(class_name: str | None, aspects: list[Aspect], reason: str) -> ModulePathReport:
    """The report where the rest of the aspects cannot be checked."""
    seen = {aspect.name for aspect in aspects}
    names: tuple[AspectName, ...] = ("module_path", "n_layers", "d_model")
    rest = [Aspect(name, "not_checked", reason) for name in names if name not in seen]
    return ModulePathReport(class_name, (*aspects, *rest))


def _model_type(spec: BaseModelSpec, config: Mapping[str, Any] | None) -> Aspect:
    """Known to transformers, and the one that the config states."""
    stated = stated_model_type(config)
    if not _is_known(spec.model_type):
        near = difflib.get_close_matches(spec.model_type, sorted(_known_types()), n=1)
        problem = ModulePathProblem(
            f"transformers knows no model_type {spec.model_type!r}",
            where="base_model.model_type",
            expected="the model_type of the model's own config.json",
            next_step=f"did you mean {near[0]!r}?" if near else "look it up in config.json",
        )
    elif stated is not None and stated != spec.model_type:
        problem = ModulePathProblem(
            f"is {spec.model_type!r}",
            where="base_model.model_type",
            expected=f"{stated!r}, as the model's config.json says",
            next_step="state the config's model_type",
        )
    else:
        return Aspect("model_type", "agrees")
    return Aspect("model_type", "differs", problem=problem)


def _module_path(spec: BaseModelSpec, model: Any, layers: Collection[int] | None) -> Aspect:
    """Whether the blocks lie where `hf_hook_name` says; `layers` None: their number is unknown."""
    try:
        if layers is None:
            # Every class has a first block; further ones depend on the model's own config.
            find_block(model, hf_hook_name(spec.model_type, 0))
        else:
            for layer in sorted({0, spec.n_layers - 1, *layers}):
                find_block(model, hf_hook_name(spec.model_type, layer))
    except UnknownModelType as error:
        shown = ", ".join(block_lists(model))
        problem = ModulePathProblem(
            error.what,
            where="base_model.model_type",
            expected=f"one of {', '.join(sorted(BLOCKS_PATH))}",
            next_step=f"{type(model).__name__} has its blocks in {shown}: add that "
            "to manifests/hooks.py, with the test that builds the class",
        )
        return Aspect("module_path", "differs", problem=problem)
    except ModulePathProblem as problem:
        return Aspect("module_path", "differs", problem=problem)
    return Aspect("module_path", "agrees")


def _number(name: Literal["n_layers", "d_model"], stated: int, built: int) -> Aspect:
    if stated == built:
        return Aspect(name, "agrees")
    problem = ModulePathProblem(
        f"is {stated}",
        where=f"base_model.{name}",
        expected=f"{built}, as the model's config.json says",
        next_step="state the config's number",
    )
    return Aspect(name, "differs", problem=problem)


def _known_types() -> set[str]:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return set(CONFIG_MAPPING.keys())


def _is_known(model_type: str) -> bool:
    return model_type in _known_types()
