"""The statement of a release whose card is renewed: other files, the same weights and maker.

Everything that made the weights stays stated, and so does who assembled them: a signature is held
against that. What changes are the digests of the card's files and of the manifest.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from manifests.build_folder import BuildFolder, write_atomically
from manifests.errors import ReleaseError
from manifests.load import LoadedManifest
from manifests.progress import Progress
from release.hub_connection import HubConnection, hub_errors_explained, without_client_bars
from release.provenance.claims import read_statement
from release.provenance.statement import PROVENANCE, stated_manifest, statement_bytes
from release.publishing.release_files import ReleaseFile, describe_file
from validators.reading.local_repository import LocalRepository


def with_renewed_statement(
    loaded: LoadedManifest,
    build: BuildFolder,
    files: dict[str, ReleaseFile],
    connection: HubConnection,
    *,
    oid: str,
    is_of_card: Callable[[str], bool],
    progress: Progress,
) -> dict[str, ReleaseFile]:
    """The files of a card with the published statement brought up to them.

    A release without a statement, or with a damaged one, gets none: nobody here saw its weights
    made.

    Args:
        loaded: the manifest.
        build: its build folder, where the statement is written.
        files: the card's files by path_in_repo.
        connection: the Hub.
        oid: the commit that the card is pushed onto.
        is_of_card: whether a push of the card may change or delete a file.
        progress: told of a statement that cannot be read.

    Raises:
        HubUnavailable: the Hub does not answer.
    """
    repo_id = loaded.manifest.repo_id
    with tempfile.TemporaryDirectory(prefix="sae-release-", ignore_cleanup_errors=True) as folder:
        published = _fetched(repo_id, oid, connection, Path(folder))
        if published is None:
            return files
        try:
            statement = read_statement(published)
        except ReleaseError as error:
            progress.note(f"{PROVENANCE} of {repo_id} is left as it is: {error.what}")
            return files
        content = published.read_json(PROVENANCE)
    assert statement is not None
    digests = {path: sha256 for path, sha256 in statement.files.items() if not is_of_card(path)}
    digests |= {path: file.sha256 for path, file in files.items() if path != PROVENANCE}
    content["subject"] = [
        {"name": path, "digest": {"sha256": digests[path]}} for path in sorted(digests)
    ]
    definition = content["predicate"]["buildDefinition"]
    definition["externalParameters"]["manifest"] = stated_manifest(loaded)
    path = build.repository / PROVENANCE
    write_atomically(path, statement_bytes(content))
    return dict(sorted({**files, PROVENANCE: describe_file(PROVENANCE, path)}.items()))


def _fetched(
    repo_id: str, oid: str, connection: HubConnection, folder: Path
) -> LocalRepository | None:
    """The statement as it is published, in a folder of its own; None where there is none."""
    from huggingface_hub.errors import EntryNotFoundError

    with without_client_bars(), hub_errors_explained(f"reading {repo_id}", connection):
        try:
            connection.api().hf_hub_download(repo_id, PROVENANCE, revision=oid, local_dir=folder)
        except EntryNotFoundError:
            return None
    return LocalRepository(folder)
