"""Type, blocks and width of the base model: from its config.json on the Hub, or a study file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.shelf import STUDY_FILES
from manifests.yaml_source import read_yaml
from validators.reading.hub_repository import HubRepository
from validators.reading.repository import HubUnavailable, UnreadableFile

CONFIG = "config.json"
_LAYER_KEYS = ("num_hidden_layers", "n_layer", "num_layers")
_WIDTH_KEYS = ("hidden_size", "n_embd", "d_model")


@dataclass(frozen=True)
class BaseModelFacts:
    """What a base model's config.json or a study file says; None where it does not."""

    model_type: str | None
    n_layers: int | None
    d_model: int | None
    revision: str | None = None
    n_parameters: int | None = None


def read_base_model(model_id: str, *, endpoint: str, token: str | None) -> BaseModelFacts | None:
    """The facts of a base model on the same Hub; None where that Hub does not show them."""
    try:
        repository = HubRepository(model_id, endpoint=endpoint, token=token)
        config = repository.read_json(CONFIG)
    except (HubUnavailable, UnreadableFile):
        # A gated or unknown model is no fault of the repository that is imported: the manifest
        # then says that these facts are not known.
        return None
    return base_model_facts(config, revision=repository.oid)


def registered_base_model(model_id: str, *, manifests: Path) -> BaseModelFacts | None:
    """The facts of a base model that a study file beside the manifests registers, if one does.

    Raises:
        YamlProblem: the study file cannot be read.
    """
    for path in (manifests / name for name in STUDY_FILES):
        data = read_yaml(path).data if path.is_file() else None
        models = data.get("base_models") if isinstance(data, dict) else None
        for entry in models.values() if isinstance(models, dict) else ():
            if isinstance(entry, dict) and entry.get("id") == model_id:
                model_type = entry.get("model_type")
                return BaseModelFacts(
                    model_type=model_type if isinstance(model_type, str) else None,
                    n_layers=_size(entry, ("n_layers",)),
                    d_model=_size(entry, ("d_model",)),
                    n_parameters=_size(entry, ("n_parameters",)),
                )
    return None


def base_model_facts(config: Any, *, revision: str | None = None) -> BaseModelFacts | None:
    """Read the facts; sizes of a composite config stand in its `text_config`."""
    if not isinstance(config, dict):
        return None
    inner = config.get("text_config")
    sizes = inner if isinstance(inner, dict) else config
    model_type = config.get("model_type")
    return BaseModelFacts(
        model_type=model_type if isinstance(model_type, str) else None,
        n_layers=_size(sizes, _LAYER_KEYS),
        d_model=_size(sizes, _WIDTH_KEYS),
        revision=revision,
    )


def _size(config: dict[str, Any], keys: tuple[str, ...]) -> int | None:
    values = (config.get(key) for key in keys)
    return next(
        (v for v in values if isinstance(v, int) and not isinstance(v, bool) and v > 0), None
    )
