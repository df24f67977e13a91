"""Verify what a TARGET names: a folder, a manifest's build, or a repository on a Hub."""

from __future__ import annotations

from pathlib import Path

from manifests.build_folder import BuildFolder
from manifests.load import load_manifest
from manifests.progress import Progress
from release.hub_connection import HubConnection
from release.provenance.digests import digests_of
from release.provenance.model_signature import ExpectedIdentity, PublicKey
from release.provenance.verification import Verification, verify
from release.targets import FolderTarget, HubTarget, ManifestTarget, Target
from release.validation import refuse_large_download
from validators.reading.hub_repository import HubRepository
from validators.reading.local_repository import LocalRepository
from validators.reading.repository import Repository


def verify_target(
    target: Target,
    connection: HubConnection,
    *,
    build_root: Path,
    signed_by: PublicKey | ExpectedIdentity | None,
    download: bool,
    is_large_wanted: bool,
    cache: Path,
    progress: Progress,
) -> Verification:
    """Verify a release; no manifest on this machine is asked, so that any machine finds the same.

    Args:
        target: what to verify; a manifest means its local build where there is one, else its
            repository on the Hub.
        connection: the Hub.
        build_root: where builds lie.
        signed_by: whose signature there must be.
        download: hash every byte here, weights on a Hub included.
        is_large_wanted: whether more than 2 GB may be downloaded for that.
        cache: an empty folder for downloads.
        progress: told how far it is.

    Raises:
        HubUnavailable: the Hub does not answer, or has no such repository.
        UsageError: the key cannot be read, or the download is large.
        SigstoreUnavailable: Sigstore's trust root cannot be fetched.
    """
    repository = _repository(target, connection, build_root=build_root, cache=cache)
    if download and not is_large_wanted:
        refuse_large_download(repository, only=(), every_file=True)
    return verify(
        repository,
        digests_of(repository, connection, download=download),
        hub_name=repository.name if isinstance(repository, HubRepository) else None,
        signed_by=signed_by,
        progress=progress,
    )


def _repository(
    target: Target, connection: HubConnection, *, build_root: Path, cache: Path
) -> Repository:
    if isinstance(target, FolderTarget):
        return LocalRepository(target.path)
    if isinstance(target, ManifestTarget):
        loaded = load_manifest(target.path)
        build = BuildFolder(build_root / loaded.name)
        if build.repository.is_dir():
            return LocalRepository(build.repository)
        target = HubTarget(loaded.manifest.repo_id, None)
    return HubRepository(
        target.repo_id,
        revision=target.revision,
        endpoint=connection.endpoint,
        token=connection.token or False,
        cache_dir=cache,
    )
