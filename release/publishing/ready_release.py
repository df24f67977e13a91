"""The last steps before a push: the gate, the card's code, the signature and the statement."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass

from cards.block_results import CARD, BlockResults
from cards.stage import README
from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.errors import MissingExtra
from manifests.load import LoadedManifest
from manifests.progress import Progress
from release.card_blocks import SaesElsewhere, checked_blocks
from release.gate import NotChecked, NotReady, require_blocks, require_ready
from release.hub_connection import HubConnection
from release.provenance.builder import builder_of
from release.provenance.publishing import with_provenance
from release.provenance.renewed import with_renewed_statement
from release.provenance.signing import PrivateKey, WorkflowIdentity
from release.publishing.card_release import (
    CardRelease,
    card_release,
    fetched_saes,
    require_card_ready,
)
from release.publishing.release_files import ReleaseFile, describe_file, release_files
from release.publishing.remote_tree import remote_tree
from release.stand_in_model import NoStandIn


@dataclass(frozen=True)
class Ready:
    """A release that may go out.

    Attributes:
        files: what is sent, by path_in_repo.
        saes: SHA-256 of the SAEs' files as they were checked, by path_in_repo.
        blocks: what came of the card's code.
    """

    files: dict[str, ReleaseFile]
    saes: Mapping[str, str]
    blocks: BlockResults


def ready_release(
    loaded: LoadedManifest,
    build: BuildFolder,
    connection: HubConnection,
    *,
    cards_only: bool,
    base_model: str | None,
    signer: PrivateKey | WorkflowIdentity | None,
    progress: Progress,
) -> Ready:
    """The files to publish, once nothing of them changes any more and the gate lets them pass.

    Args:
        loaded: the manifest.
        build: its build folder.
        connection: the Hub.
        cards_only: as `PushOptions` has it, like the next two.
        base_model: what the card's code is to run on.
        signer: who signs.
        progress: where to report.

    Raises:
        IncompleteRelease, NotReady, NotChecked, HubUnavailable: as `push`.
    """
    cards = _cards(loaded, build, connection) if cards_only else None
    files = cards.files if cards else release_files(loaded, build)
    checked = {path: file.sha256 for path, file in files.items()}
    if cards is not None:
        require_card_ready(loaded, build, cards)
    else:
        require_ready(loaded, build, checked)
    with fetched_saes(loaded, cards, connection) if cards else nullcontext() as elsewhere:
        blocks = _blocks(loaded, build, base_model, elsewhere, progress)
    require_blocks(loaded, blocks)
    # What came of the blocks was written into card.json.
    files = {**files, CARD: describe_file(CARD, build.card_json)}
    if cards is not None:
        assert cards.oid is not None
        files = with_renewed_statement(
            loaded,
            build,
            files,
            connection,
            oid=cards.oid,
            is_of_card=cards.is_of_card,
            progress=progress,
        )
        return Ready(files, cards.beside, blocks)
    files = with_provenance(loaded, build, files, builder=builder_of(os.environ), signer=signer)
    saes = {
        path: sha256
        for path, sha256 in checked.items()
        if path.rpartition("/")[2] in (SAE_CONFIG, SAE_WEIGHTS)
    }
    return Ready(files, saes, blocks)


def _cards(loaded: LoadedManifest, build: BuildFolder, connection: HubConnection) -> CardRelease:
    tree = remote_tree(loaded.manifest.repo_id, connection)
    if tree is None:
        raise NotReady(
            "there is no repository yet whose card could be renewed",
            where=f"{loaded.manifest.repo_id} on {connection.endpoint}",
            expected="a release that was pushed before",
            next_step=f"release push {loaded.path}",
        )
    return card_release(loaded, build, tree, connection)


def _blocks(
    loaded: LoadedManifest,
    build: BuildFolder,
    base_model: str | None,
    saes: SaesElsewhere | None,
    progress: Progress,
) -> BlockResults:
    """What came of the card's code blocks, run now if need be.

    Raises:
        NotChecked: they cannot be run on this machine.
    """
    try:
        return checked_blocks(loaded, build, base_model=base_model, saes=saes, progress=progress)
    except (MissingExtra, NoStandIn) as error:
        raise NotChecked(
            f"the code blocks of {README} were not run: {error.what}",
            where=loaded.manifest.repo_id,
            expected="every Python block of the card to run before a push",
            next_step=error.next_step,
        ) from error
