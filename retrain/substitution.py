"""What `--base-model` and `--data` put in the place of what the manifest names."""

from __future__ import annotations

import re
from pathlib import Path

from manifests.base_model import BaseModelSpec
from manifests.data_at_hand import data_sha256
from manifests.load import LoadedManifest
from validators.training_record import Replacement, Substitution

_COMMIT = re.compile(r"[0-9a-f]{40}")


def substitution(
    loaded: LoadedManifest, *, base_model: str | None, base_digest: str, data: Path | None
) -> Substitution | None:
    """What was replaced; None when base model and data are those of the manifest.

    Args:
        loaded: the manifest, as it is written.
        base_model: what `--base-model` named: a folder, or a Hub id with an optional `@revision`.
        base_digest: of the base model that was loaded.
        data: what `--data` named.
    """
    spec, stated = loaded.manifest.base_model, loaded.manifest.data
    replaced_model = replaced_data = None
    if base_model is not None and not names_the_same(base_model, spec, base_digest):
        used = f"folder {Path(base_model).resolve().name}" if _is_folder(base_model) else base_model
        replaced_model = Replacement(stated=_stated(spec), used=used, digest=base_digest)
    if data is not None:
        digest = data_sha256(data)
        if digest != stated.sha256:
            name = stated.file or (stated.dataset.name if stated.dataset else None)
            replaced_data = Replacement(stated=name, used=data.name, digest=digest)
    if replaced_model is None and replaced_data is None:
        return None
    return Substitution(base_model=replaced_model, data=replaced_data)


def names_the_same(base_model: str, spec: BaseModelSpec, digest: str) -> bool:
    """Whether an id or folder is the manifest's base model, as far as it can be told.

    The digest decides where the manifest states one. Else the id decides, and of a folder its
    name: that of the id's last part, as a download or a clone leaves it, or that of a snapshot
    in huggingface_hub's cache. A revision that both state has to agree.
    """
    if spec.package is not None:
        return digest == spec.package.sha256
    if not _is_folder(base_model):
        repo_id, _, revision = base_model.partition("@")
        return repo_id == spec.id and (spec.revision is None or revision == spec.revision)
    folder = Path(base_model).resolve()
    if folder.parent.name == "snapshots":
        of_this_model = folder.parent.parent.name == f"models--{spec.id.replace('/', '--')}"
        pinned = spec.revision if _COMMIT.fullmatch(spec.revision or "") else None
        return of_this_model and pinned in (None, folder.name)
    return folder.name == spec.id.rpartition("/")[2]


def _is_folder(base_model: str) -> bool:
    return Path(base_model).is_dir()


def _stated(spec: BaseModelSpec) -> str:
    return "@".join(filter(None, (spec.id, spec.revision)))
