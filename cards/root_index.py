"""config.json at the repository's root: which SAEs there are, where they hook, their digests.

The Hub counts a download when this file is asked for; without it, a repository of SAEs whose
configurations lie in folders shows none.
"""

from __future__ import annotations

from typing import Any

from cards.sections.architectures import thresholds_of
from cards.sources import Sources
from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from manifests.hooks import depth_percent
from manifests.matrix import SaeSpec

FORMAT = "sae-release.index/1"


def root_index(sources: Sources) -> dict[str, Any]:
    """The index as JSON values; a digest is null where nobody looked at the file.

    It has no `model_type` at its top: a repository of SAEs is no model that transformers loads.
    """
    manifest, made = sources.loaded.manifest, sources.made
    digests = made.by_sae if made else {}
    return {
        "format": FORMAT,
        "repo_id": manifest.repo_id,
        "library_name": "saelens",
        "base_model": {
            "id": manifest.base_model.id,
            "revision": manifest.base_model.revision,
            "model_type": manifest.base_model.model_type,
            "n_layers": manifest.base_model.n_layers,
        },
        "hook_notation": {
            "hook_name": "TransformerLens",
            "hf_hook_name": "path of the transformers module whose output is read",
        },
        "pooling": manifest.data.pooling,
        "saes": [
            _entry(sources, spec, digests.get(spec.sae_id, {})) for spec in sources.loaded.saes
        ],
    }


def _entry(sources: Sources, spec: SaeSpec, files: dict[str, str]) -> dict[str, Any]:
    return {
        "sae_id": spec.sae_id,
        "architecture": spec.architecture,
        "saved_architecture": spec.saved_architecture,
        "thresholds": thresholds_of(sources.loaded.manifest, spec),
        "layer": spec.layer,
        "depth_percent": round(
            depth_percent(spec.layer, sources.loaded.manifest.base_model.n_layers), 1
        ),
        "condition": spec.condition,
        "variant": spec.variant or None,
        "d_in": spec.d_in,
        "d_sae": spec.d_sae,
        "hook_name": spec.hook_name,
        "hf_hook_name": spec.hf_hook_name,
        "sha256": {name: files.get(name) for name in (SAE_CONFIG, SAE_WEIGHTS)},
    }
