"""The last step before a plan or a push: sign where asked, then state what is published."""

from __future__ import annotations

from pathlib import Path

from manifests.build_folder import BuildFolder
from manifests.load import LoadedManifest
from release.provenance.builder import Builder
from release.provenance.model_signature import SIGNATURE, BadSignature, is_of
from release.provenance.signing import PrivateKey, WorkflowIdentity, sign
from release.provenance.statement import PROVENANCE, write_provenance
from release.publishing.release_files import ReleaseFile, describe_file


def with_provenance(
    loaded: LoadedManifest,
    build: BuildFolder,
    files: dict[str, ReleaseFile],
    *,
    builder: Builder,
    signer: PrivateKey | WorkflowIdentity | None = None,
) -> dict[str, ReleaseFile]:
    """The files of a release with its signature, where it has one, and its statement.

    Both are written into the repository folder, and stay as they are where they still hold.

    Args:
        loaded: the manifest.
        build: its build folder.
        files: the release's files by path_in_repo, when nothing of them changes any more.
        builder: who publishes.
        signer: whose signature to make; without one, a signature that lies there is published.

    Raises:
        BadSignature: nobody signs, and the signature that lies there is of other bytes; or as
            `sign`.
        MissingExtra, UsageError, SigstoreUnavailable: as `sign`.
        UnreadableTrainingRecord: `training.json` is damaged.
    """
    release = {name: file for name, file in files.items() if name not in (PROVENANCE, SIGNATURE)}
    sha256 = {name: file.sha256 for name, file in release.items()}
    signature = build.repository / SIGNATURE
    if signer is not None:
        sign(sha256, signature, signer, name=loaded.manifest.repo_id.rpartition("/")[2])
    elif signature.is_file() and not is_of(signature, sha256):
        raise BadSignature(
            "is of other weights or configurations than lie beside it",
            where=str(signature),
            expected="a signature of these files, or none",
            next_step="sign the release again (release push --sign), or delete the file",
        )
    if signature.is_file():
        release |= _described(SIGNATURE, signature)
    stated = {name: file.sha256 for name, file in release.items()}
    write_provenance(loaded, build, stated, builder=builder)
    release |= _described(PROVENANCE, build.repository / PROVENANCE)
    return dict(sorted(release.items()))


def _described(name: str, path: Path) -> dict[str, ReleaseFile]:
    return {name: describe_file(name, path)}
