"""The size of a base model, before its weights are read."""

from __future__ import annotations

import json
import math
from pathlib import Path

from manifests.base_model import BaseModelSpec
from manifests.load import LoadedManifest
from retrain.planning.capture import BaseModelSize
from validators.base_models.checkpoint_source import locate_checkpoint
from validators.reading.safetensors_header import (
    LENGTH_BYTES,
    header_length,
    parse_header,
)

# Of tensors' names: what bitsandbytes leaves as it is. It quantises the linear layers of blocks.
_KEPT_AS_THEY_ARE = ("embed", "lm_head", "wte", "wpe")


def base_model_size(loaded: LoadedManifest, *, override: str | None) -> BaseModelSize | None:
    """The number of weights, by the headers of a checkpoint on this machine.

    Nothing is fetched: of a model that is not here, the size is None. A packaged model is
    converted if it was not yet.

    Args:
        loaded: the manifest.
        override: what `--base-model` named.

    Raises:
        PackagedModelProblem, MissingExtra: see `locate_checkpoint`.
        MalformedSafetensors: the checkpoint is damaged.
    """
    folder = _folder_here(loaded.manifest.base_model, override)
    return None if folder is None else _counted(folder)


def _folder_here(spec: BaseModelSpec, override: str | None) -> Path | None:
    """The checkpoint's folder, if it is on this machine."""
    if override is not None and Path(override).is_dir():
        return Path(override)
    if override is None and spec.package is not None:
        return locate_checkpoint(spec).folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    repo_id, revision = spec.id, spec.revision
    if override is not None:
        repo_id, _, named = override.partition("@")
        revision = named or None
    try:
        return Path(snapshot_download(repo_id, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        # Not fetched yet, or no id at all, which loading it will say.
        return None


def _counted(folder: Path) -> BaseModelSize | None:
    """The size; None where there is no safetensors file, or not all of them."""
    files = sorted(folder.glob("*.safetensors"))
    if not files or not _is_complete(folder, files):
        return None
    total = kept = 0
    for file in files:
        for name, shape in _shapes(file).items():
            n_weights = math.prod(shape)
            total += n_weights
            if len(shape) < 2 or any(part in name for part in _KEPT_AS_THEY_ARE):
                kept += n_weights
    return BaseModelSize(total, kept)


def _is_complete(folder: Path, files: list[Path]) -> bool:
    """Whether every file is there that the index of a sharded checkpoint names."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return True
    named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return named <= {file.name for file in files}


def _shapes(file: Path) -> dict[str, tuple[int, ...]]:
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(LENGTH_BYTES)
        length = header_length(start, size_bytes=size, where=file.name)
        header = parse_header(start + stream.read(length), size_bytes=size, where=file.name)
    return {name: tensor.shape for name, tensor in header.tensors.items()}
