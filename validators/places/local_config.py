"""The base model's config.json, where it is on this machine already; nothing is fetched."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.errors import MissingExtra
from validators.base_models.gguf_checkpoint import converted_folder
from validators.claim import Claim
from validators.options import ValidateOptions
from validators.places.meta_model import AutoClass, meta_model, read_model_config, stated_model_type

if TYPE_CHECKING:
    from torch.nn import Module

_CONFIG = "config.json"


def local_model_config(
    claim: Claim | None, named: object, options: ValidateOptions
) -> dict[str, Any] | None:
    """The config of the base model: of `--base-model`, else of the manifest, else of the SAE.

    Args:
        claim: may carry a copy of the config beside the manifest.
        named: `metadata.model_name`, a Hub id where it is looked for in the Hub client's cache.
        options: may name a folder or a Hub id.

    Returns:
        None where no config is at hand.

    Raises:
        ModulePathProblem: a config is there and cannot be read.
    """
    path = _config_path(claim, named, options)
    return None if path is None else read_model_config(path)


def model_of(config: Mapping[str, Any], claim: Claim | None) -> Module:
    """The model that a config describes, on the meta device; the same one for the same config.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ModulePathProblem: transformers cannot build it.
    """
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(needed_for="looking hooks up", package=package, extra="measure")
    auto_class = claim.manifest.base_model.auto_class if claim else "AutoModelForCausalLM"
    return _built(json.dumps(config, sort_keys=True), auto_class)


# Every SAE of a repository asks for the same model, which takes a second to build.
@lru_cache(maxsize=2)
def _built(config: str, auto_class: AutoClass) -> Module:
    data = json.loads(config)
    model: Module = meta_model(stated_model_type(data) or "", data, auto_class=auto_class)
    return model


def _config_path(claim: Claim | None, named: object, options: ValidateOptions) -> Path | None:
    if options.base_model is not None:
        path = Path(options.base_model) / _CONFIG
        return path if path.is_file() else _cached(options.base_model)
    if claim is None:
        return _cached(named)
    spec = claim.manifest.base_model
    if claim.loaded is not None and spec.config is not None:
        return claim.loaded.file_beside(spec.config)
    if spec.package is not None:
        path = converted_folder(spec, spec.package) / _CONFIG
        return path if path.is_file() else None
    return _cached(f"{spec.id}@{spec.revision}" if spec.revision else spec.id)


def _cached(name: object) -> Path | None:
    """config.json of a Hub id in the cache of the Hub's client."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if not isinstance(name, str):
        return None
    repo_id, _, revision = name.partition("@")
    try:
        found = try_to_load_from_cache(repo_id, _CONFIG, revision=revision or None)
    except HFValidationError:
        # A folder's path, or anything else that a stranger's config may say.
        return None
    return Path(found) if isinstance(found, str) else None
