"""Where the base model's files are: a local folder, a package, or the Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from manifests.base_model import BaseModelSpec
from manifests.errors import ReleaseError, UsageError
from validators.base_models.gguf_checkpoint import converted_checkpoint

_CHECKPOINT_FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")


class BaseModelUnreachable(ReleaseError):
    """The base model cannot be fetched from the Hub."""

    exit_code = 4


@dataclass(frozen=True)
class Checkpoint:
    """A folder with config, tokenizer and safetensors weights.

    `source` says in words where it came from; `packaged_sha256` is the digest of the GGUF file it
    was converted from, if it was.
    """

    folder: Path
    source: str
    packaged_sha256: str | None = None


def locate_checkpoint(spec: BaseModelSpec, *, override: str | None = None) -> Checkpoint:
    """Find the base model, fetching or converting it if need be.

    Taken from, in this order: `override`; the package that the manifest names; the Hub.

    Raises:
        PackagedModelProblem: see `converted_checkpoint`.
        BaseModelUnreachable: the Hub cannot be reached, or refuses or lacks the model.
        UsageError: `override` is neither a folder nor a Hub id.
    """
    if override is not None:
        return locate_named_checkpoint(override)
    if spec.package is not None:
        folder = converted_checkpoint(spec, spec.package)
        source = f"{spec.package.requirement}, {spec.package.gguf_file} dequantised"
        return Checkpoint(folder, source, packaged_sha256=spec.package.sha256)
    return _from_hub(spec.id, spec.revision)


def locate_named_checkpoint(name: str) -> Checkpoint:
    """Find a base model that the user named, by a folder's path or a Hub id.

    Raises:
        UsageError: it is neither a folder nor a Hub id.
        BaseModelUnreachable: the Hub cannot be reached, or refuses or lacks the model.
    """
    folder = Path(name)
    if folder.is_dir():
        # The folder's name only: reports are published, and a path tells of its machine.
        return Checkpoint(folder, f"local folder {folder.resolve().name}")
    if name.count("/") != 1 or "\\" in name or name.startswith((".", "/", "~")):
        raise UsageError(
            f"{name!r} is neither a folder nor a Hub id",
            where="--base-model",
            expected="a folder with config.json and safetensors, or owner/name[@revision]",
        )
    return locate_hub_checkpoint(name)


def locate_hub_checkpoint(name: str) -> Checkpoint:
    """Fetch a base model by its Hub id, with an optional `@revision`; never looks on the disk.

    Raises:
        UsageError: it is no Hub id.
        BaseModelUnreachable: the Hub cannot be reached, or refuses or lacks the model.
    """
    repo_id, _, revision = name.partition("@")
    return _from_hub(repo_id, revision or None)


def _from_hub(repo_id: str, revision: str | None) -> Checkpoint:
    import httpx2
    from huggingface_hub import errors as hub_errors
    from huggingface_hub import snapshot_download

    name = f"{repo_id}@{revision}" if revision else repo_id
    elsewhere = "or give a local copy with --base-model FOLDER"
    try:
        folder = Path(
            snapshot_download(
                repo_id,
                revision=revision,
                allow_patterns=list(_CHECKPOINT_FILES),
                ignore_patterns=["*/*"],
            )
        )
    except hub_errors.GatedRepoError as error:
        raise BaseModelUnreachable(
            "the base model is gated and this account has no access to it",
            where=name,
            next_step=f"accept its terms on its page and log in with `hf auth login`, {elsewhere}",
        ) from error
    except (hub_errors.RepositoryNotFoundError, hub_errors.RevisionNotFoundError) as error:
        raise BaseModelUnreachable(
            "the Hub has no such base model or revision, or shows it only to others",
            where=name,
            next_step=f"check base_model.id and revision, log in with `hf auth login`, {elsewhere}",
        ) from error
    except hub_errors.HFValidationError as error:
        raise UsageError(f"is not a Hub id: {error}", where=name) from error
    except (
        hub_errors.LocalEntryNotFoundError,
        hub_errors.OfflineModeIsEnabled,
        hub_errors.HfHubHTTPError,
        httpx2.HTTPError,
        OSError,
    ) as error:
        raise BaseModelUnreachable(
            f"the base model cannot be fetched from the Hub: {error}",
            where=name,
            next_step=f"connect to the network, unset HF_HUB_OFFLINE, {elsewhere}",
        ) from error
    return Checkpoint(folder, f"Hugging Face Hub, {repo_id} at {folder.name}")
