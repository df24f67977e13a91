"""What a card's code blocks load under the base model's id: the real one, or a stand-in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.base_model import BaseModelSpec
from manifests.build_folder import BuildFolder
from manifests.errors import MissingExtra, UsageError
from manifests.load import LoadedManifest
from manifests.progress import Progress
from release.stand_in_model import StandInSpec, stand_in_folder
from validators.base_models.checkpoint_source import (
    Checkpoint,
    locate_checkpoint,
    locate_named_checkpoint,
)
from validators.base_models.gguf_checkpoint import PackagedModelProblem

# Above this, what happens to lie in the Hub's cache is not loaded unasked: it is downloaded once
# more, over loopback, and a laptop's memory may not hold it.
_LARGEST_UNASKED_BYTES = 4_000_000_000


@dataclass(frozen=True)
class BlockModel:
    """A folder with config, weights and tokenizer.

    `is_real` is whether it is the base model; `source` says in words where it came from.
    """

    folder: Path
    is_real: bool
    source: str

    @property
    def model_class(self) -> str:
        """The class of transformers that its config names."""
        config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        return str((config.get("architectures") or [config.get("model_type")])[0])


def block_base_model(
    loaded: LoadedManifest, build: BuildFolder, *, override: str | None, progress: Progress
) -> BlockModel:
    """Find the base model where it is at hand, else make a stand-in under `work/stand-ins/`.

    At hand is, in this order: `override`; the package that the manifest names, if it is installed;
    the Hub's cache on this machine, up to 4 GB. Nothing is downloaded that was not asked for.

    Raises:
        UsageError: `override` is neither a folder nor a Hub id, or another model than the manifest
            describes.
        BaseModelUnreachable: `override` is a Hub id and cannot be fetched.
        NoStandIn: the model is not at hand, and no tiny one of its class can be made.
    """
    spec = loaded.manifest.base_model
    if override is not None:
        found: Checkpoint | None = locate_named_checkpoint(override)
        assert found is not None
        _require_described(found, spec)
    elif spec.package is not None:
        found = _packaged(spec, progress)
    else:
        found = _in_cache(spec, progress)
    if found is not None:
        return BlockModel(found.folder, is_real=True, source=found.source)
    folder = stand_in_folder(_stand_in_spec(loaded), build.work / "stand-ins")
    model = BlockModel(folder, is_real=False, source="random weights")
    progress.note(f"{spec.id} is not at hand: a tiny {model.model_class} stands in for it")
    return model


def _packaged(spec: BaseModelSpec, progress: Progress) -> Checkpoint | None:
    try:
        return locate_checkpoint(spec)
    except (PackagedModelProblem, MissingExtra) as error:
        progress.note(f"the packaged base model cannot be used: {error.what}")
        return None


def _in_cache(spec: BaseModelSpec, progress: Progress) -> Checkpoint | None:
    """The base model in the Hub's cache, whole and not too large; None otherwise."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(spec.id, revision=spec.revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    weights = _weight_files(folder)
    if not weights or not (folder / "tokenizer_config.json").is_file():
        return None
    size_bytes = sum(path.stat().st_size for path in weights)
    if size_bytes > _LARGEST_UNASKED_BYTES:
        progress.note(
            f"{spec.id} has {size_bytes / 1e9:.1f} GB of weights; to run the card on it, "
            f"add --base-model {spec.id}"
        )
        return None
    return Checkpoint(folder, f"the Hub's cache, at {folder.name}")


def _weight_files(folder: Path) -> list[Path]:
    """The weights of a checkpoint; none where config.json or a part of them is missing."""
    if not (folder / "config.json").is_file():
        return []
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    else:
        names = {"model.safetensors"}
    files = [folder / str(name) for name in sorted(names)]
    return files if all(file.is_file() for file in files) else []


def _require_described(found: Checkpoint, spec: BaseModelSpec) -> None:
    """Hold a model that the user named against the manifest.

    Raises:
        UsageError: it is another one, or cannot be read.
    """
    import transformers

    try:
        config: Any = transformers.AutoConfig.from_pretrained(found.folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UsageError(f"its config cannot be read: {error}", where=found.source) from error
    text = config.get_text_config()
    pairs = {
        "model_type": (config.model_type, spec.model_type),
        "n_layers": (getattr(text, "num_hidden_layers", None), spec.n_layers),
        "d_model": (getattr(text, "hidden_size", None), spec.d_model),
    }
    wrong = {key: pair for key, pair in pairs.items() if pair[1] is not None and len({*pair}) > 1}
    if wrong:
        raise UsageError(
            "the model has " + ", ".join(f"{key} {have}" for key, (have, _) in wrong.items()),
            where=f"--base-model, {found.source}",
            expected=", ".join(f"{key} {wanted}" for key, (_, wanted) in wrong.items())
            + ", which base_model of the manifest states",
            next_step="name the manifest's base model, or leave the option out",
        )


def _stand_in_spec(loaded: LoadedManifest) -> StandInSpec:
    spec = loaded.manifest.base_model
    return StandInSpec(
        model_type=spec.model_type,
        auto_class=spec.auto_class,
        d_model=spec.d_model,
        n_layers=spec.n_layers,
        last_layer=max(sae.layer for sae in loaded.saes),
        hooks=tuple(sorted({sae.hf_hook_name for sae in loaded.saes})),
    )
