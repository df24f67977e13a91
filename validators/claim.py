"""What a repository is held against: a local manifest, or the one published inside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from manifests.load import LoadedManifest
from manifests.matrix import SaeSpec, sae_specs
from manifests.model import Manifest
from validators.reading.repository import Repository, UnreadableFile
from validators.reading.strict_json import JsonProblem, refuse_excess

PUBLISHED_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Claim:
    """A manifest and what follows from it.

    Attributes:
        manifest: the claim itself.
        saes: the SAEs that it names, by id, in the manifest's order.
        source: how messages call it, such as `manifest gpt2.yaml`.
        loaded: the local manifest, through which the data can be read; None for a published one.
    """

    manifest: Manifest
    saes: dict[str, SaeSpec]
    source: str
    loaded: LoadedManifest | None


def local_claim(loaded: LoadedManifest) -> Claim:
    """The claim of a manifest on this machine."""
    return Claim(
        manifest=loaded.manifest,
        saes={spec.sae_id: spec for spec in loaded.saes},
        source=f"manifest {Path(loaded.path).name}",
        loaded=loaded,
    )


def published_claim(repository: Repository) -> Claim | None:
    """The claim of the `manifest.json` inside a repository; None where there is none.

    Raises:
        UnreadableFile: there is one, but it is damaged or of another version of the format.
    """
    if PUBLISHED_MANIFEST not in repository.files:
        return None
    text = repository.read_text(PUBLISHED_MANIFEST)
    try:
        refuse_excess(text)
        manifest = Manifest.model_validate_json(text, strict=True)
    except JsonProblem as error:
        raise _no_manifest(repository, error.what) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "its start"
        raise _no_manifest(repository, f"{key:.200}: {first['msg']:.300}") from error
    return Claim(
        manifest=manifest,
        saes={spec.sae_id: spec for spec in sae_specs(manifest)},
        source=f"{PUBLISHED_MANIFEST} of {repository.name}",
        loaded=None,
    )


def _no_manifest(repository: Repository, why: str) -> UnreadableFile:
    return UnreadableFile(
        f"is no resolved manifest: {why}",
        where=f"{repository.location}/{PUBLISHED_MANIFEST}",
        expected="the file that a release publishes",
        next_step="name the manifest's YAML file instead, or update sae-release",
    )
