"""What the weights of an SAE depend on, as digests known before anything heavy is loaded."""

from __future__ import annotations

from pathlib import Path

from manifests.data_at_hand import data_at_hand
from manifests.digests import json_sha256
from manifests.load import LoadedManifest
from manifests.matrix import SaeSpec
from retrain.export import SAE_LENS_VERSION
from validators.base_models.base_model import checkpoint_digest

# Raise the first when tokens or pooling change, the second when the trainers give other weights.
CAPTURE_VERSION = 1
TRAINER_VERSION = 3

_SHARED = {
    "epochs",
    "batch_size",
    "learning_rate",
    "warmup",
    "decay",
    "sparsity_warmup",
    "adam_beta2",
    "max_gradient_norm",
    "seed",
    "input_scale",
    "products",
}


def base_model_identity(loaded: LoadedManifest, override: str | None) -> str:
    """A name for the base model's weights that is known before they are loaded.

    The digest of a local folder or of the packaged file; for the Hub, id and revision as given.
    """
    spec = loaded.manifest.base_model
    if override is not None:
        folder = Path(override)
        return checkpoint_digest(folder) if folder.is_dir() else f"hub {override}"
    if spec.package is not None:
        return spec.package.sha256
    return f"hub {spec.id}@{spec.revision}"


def hook_names_in_order(loaded: LoadedManifest) -> tuple[str, ...]:
    """The module paths of the manifest's SAEs, each once, by layer."""
    return tuple(dict.fromkeys(s.hf_hook_name for s in sorted(loaded.saes)))


def inputs_digest(
    loaded: LoadedManifest, spec: SaeSpec, *, identity: str, device: str, data: Path | None
) -> str:
    """SHA-256 over all that one SAE's files depend on.

    The memory budget is not among it: what it decides, how many SAEs are trained together and in
    which parts a batch is computed, touches the last bits only, and training.json records it.

    Args:
        loaded: the manifest.
        spec: the SAE.
        identity: of the base model, see `base_model_identity`.
        device: its kind counts (cpu, cuda), since it decides the last bits of the weights.
        data: a file in place of the manifest's data.
    """
    manifest = loaded.manifest
    at_hand, text = data_at_hand(manifest.data, data), manifest.data.text
    own = manifest.recipe.of(spec.architecture, spec.variant)
    return json_sha256(
        {
            "versions": [TRAINER_VERSION, CAPTURE_VERSION, SAE_LENS_VERSION],
            "base_model": [identity, manifest.base_model.id, manifest.base_model.auto_class],
            "precision": manifest.base_model.precision.model_dump(mode="json"),
            "data": [at_hand.file, at_hand.sha256, at_hand.pooling],
            "text": None if text is None else text.model_dump(mode="json"),
            "held_out": at_hand.held_out.model_dump(mode="json"),
            "labels": sorted(manifest.data.conditions[spec.condition].labels),
            # Which other rows exist decides nothing but context_size in cfg.json.
            "conditions": sorted(
                {label for c in manifest.data.conditions.values() for label in c.labels}
            ),
            "recipe": manifest.recipe.model_dump(mode="json", include=_SHARED),
            "sae_recipe": own.model_dump(mode="json"),
            "sae": [spec.sae_id, spec.architecture, spec.condition, spec.d_in, spec.d_sae],
            "hook": [spec.hook_name, spec.hf_hook_name],
            "device": device.partition(":")[0],
        }
    )


def wanted_digests(
    loaded: LoadedManifest, *, device: str, base_model: str | None, data: Path | None = None
) -> dict[str, str]:
    """`inputs_digest` of every SAE of the manifest, by sae_id."""
    identity = base_model_identity(loaded, base_model)
    return {
        spec.sae_id: inputs_digest(loaded, spec, identity=identity, device=device, data=data)
        for spec in loaded.saes
    }
