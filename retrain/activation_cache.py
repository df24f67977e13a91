"""Captured training activations on disk, named by the digest of all they depend on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from manifests.build_folder import BuildFolder, write_atomically
from manifests.completions import Completion
from manifests.digests import canonical_json, json_sha256
from manifests.load import LoadedManifest
from manifests.progress import Progress
from retrain.activations import capture
from retrain.inputs import CAPTURE_VERSION, base_model_identity, hook_names_in_order
from validators.base_models.base_model import load_base_model


@dataclass(frozen=True)
class CapturedActivations:
    """Training vectors by hook name, [completions, d_in], and the model they came from."""

    vectors: dict[str, Tensor]
    base_digest: str
    base_source: str
    longest: int


def training_activations(
    loaded: LoadedManifest,
    build: BuildFolder,
    rows: Sequence[Completion],
    *,
    device: str,
    base_model: str | None,
    progress: Progress,
) -> CapturedActivations:
    """The activations of the rows at every hook of the manifest: read from the cache, or captured.

    A cached file that cannot be read is captured anew. Errors: as `load_base_model`, `capture`.
    """
    path = build.work / "activations" / f"{_cache_key(loaded, rows, base_model)}.safetensors"
    hook_names = hook_names_in_order(loaded)
    cached = _read(path, hook_names, len(rows))
    if cached is not None:
        progress.note(f"activations of {len(rows)} completions: from the cache")
        return cached
    spec = loaded.manifest.base_model
    base = load_base_model(spec, override=base_model, device=device)
    vectors, longest = capture(
        base, rows, hook_names, loaded.manifest.data.at_hand().pooling, progress=progress
    )
    captured = CapturedActivations(vectors, base.digest, base.source, longest)
    _write(path, captured)
    return captured


def _cache_key(loaded: LoadedManifest, rows: Sequence[Completion], base_model: str | None) -> str:
    manifest, data = loaded.manifest, loaded.manifest.data.at_hand()
    return json_sha256(
        {
            "capture_version": CAPTURE_VERSION,
            "base_model": base_model_identity(loaded, base_model),
            "precision": manifest.base_model.precision.model_dump(mode="json"),
            "data": data.sha256,
            "rows": [row.id for row in rows],
            "pooling": data.pooling,
            "hooks": list(hook_names_in_order(loaded)),
        }
    )


def _write(path: Path, captured: CapturedActivations) -> None:
    from safetensors.torch import save

    # One key: safetensors writes several in no fixed order.
    about = {
        "base_digest": captured.base_digest,
        "base_source": captured.base_source,
        "longest": captured.longest,
    }
    tensors = {name: vectors.contiguous() for name, vectors in captured.vectors.items()}
    metadata = {"captured": canonical_json(about).decode("utf-8")}
    write_atomically(path, save(tensors, metadata=metadata))


def _read(path: Path, hook_names: Sequence[str], n_rows: int) -> CapturedActivations | None:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            about = json.loads((stored.metadata() or {})["captured"])
            vectors = {name: stored.get_tensor(name) for name in hook_names}
    except (SafetensorError, KeyError, json.JSONDecodeError):
        return None
    if any(len(v) != n_rows for v in vectors.values()):
        return None
    return CapturedActivations(vectors=vectors, **about)
