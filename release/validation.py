"""From a TARGET to a report: finds the files, the manifest they claim to follow, and the tier."""

from __future__ import annotations

from pathlib import Path

from manifests.build_folder import BuildFolder
from manifests.errors import ReleaseError
from manifests.load import LoadedManifest, load_manifest
from manifests.progress import Progress
from manifests.shelf import manifest_files
from release.hub_connection import HubConnection
from release.targets import FolderTarget, HubTarget, ManifestTarget, Target
from validators.hub_repository import HubRepository
from validators.local_repository import LocalRepository
from validators.report import Report, Tier
from validators.repository import Repository
from validators.stage import validate, validate_build


def validate_target(
    target: Target,
    connection: HubConnection,
    *,
    tier: Tier | None,
    manifests: Path,
    build_root: Path,
    base_model: str | None,
    progress: Progress,
) -> Report:
    """Check what TARGET names.

    A manifest means its local build when there is one, and writes that build's report; else its
    repository on the Hub. A Hub repository is held against the manifest in `manifests` that names
    it, when there is one.
    """
    if isinstance(target, ManifestTarget):
        loaded = load_manifest(target.path)
        build = BuildFolder(build_root / loaded.name)
        if build.repository.is_dir():
            return validate_build(
                loaded,
                build,
                tier=tier or "activations",
                base_model=base_model,
                progress=progress,
            )
        target = HubTarget(loaded.manifest.repo_id, None)
        tier = tier or "activations"
    else:
        loaded = None
    repository: Repository
    if isinstance(target, FolderTarget):
        repository = LocalRepository(target.path)
    else:
        loaded = loaded or _manifest_for(target.repo_id, manifests, progress)
        repository = HubRepository(
            target.repo_id,
            revision=target.revision,
            endpoint=connection.endpoint,
            token=connection.token or False,
        )
    default: Tier = "load" if isinstance(target, FolderTarget) else "static"
    return validate(
        repository,
        manifest=loaded,
        tier=tier or default,
        base_model=base_model,
        progress=progress,
    )


def _manifest_for(repo_id: str, manifests: Path, progress: Progress) -> LoadedManifest | None:
    """The manifest in a folder that describes a repository; an unreadable one is passed over."""
    for path in manifest_files(manifests) if manifests.is_dir() else ():
        try:
            loaded = load_manifest(path)
        except ReleaseError as error:
            progress.note(f"{path} was passed over, since it cannot be read: {error.what}")
            continue
        if loaded.manifest.repo_id == repo_id:
            return loaded
    return None
