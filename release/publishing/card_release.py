"""The part of a release that a new card changes: card, index, manifest, figures; never an SAE."""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.load import LoadedManifest
from release.card_blocks import SaesElsewhere
from release.gate import NotReady, require_ready
from release.hub_connection import HubConnection, hub_errors_explained, without_client_bars
from release.overlaid_repository import OverlaidRepository
from release.publishing.release_files import ReleaseFile, card_files, describe_file
from release.publishing.remote_tree import RemoteTree
from validators.reading.hub_repository import HubRepository
from validators.reading.local_repository import LocalRepository
from validators.reading.repository import Repository


@dataclass(frozen=True)
class CardRelease:
    """What a push of the card alone consists of.

    Attributes:
        files: the card's files on disk, by path_in_repo.
        beside: SHA-256 of the SAEs' files as the Hub holds them, which the card must be of.
        oid: the commit that holds them; None: there is no repository.
        page: the card among the SAEs that it stands beside.
        other_sources: what the card was rendered from and the Hub has otherwise, by path_in_repo.
    """

    files: dict[str, ReleaseFile]
    beside: dict[str, str]
    oid: str | None = None
    page: Repository | None = None
    other_sources: tuple[str, ...] = ()

    def is_of_card(self, path_in_repo: str) -> bool:
        """Whether a push of the card alone may change or delete a file."""
        return path_in_repo in self.files or path_in_repo.startswith("figures/")


def card_release(
    loaded: LoadedManifest,
    build: BuildFolder,
    tree: RemoteTree | None,
    connection: HubConnection,
) -> CardRelease:
    """The card on disk, and the SAEs on the Hub that it stands beside.

    Raises:
        IncompleteRelease: a file of the card is missing.
        HubUnavailable: the Hub does not answer.
    """
    wanted = {
        f"{spec.sae_id}/{name}": build.repository / spec.sae_id / name
        for spec in loaded.saes
        for name in (SAE_CONFIG, SAE_WEIGHTS)
    }
    files = card_files(loaded, build)
    if tree is None:
        return CardRelease(files, beside={})

    @cache
    def published() -> Repository:
        return HubRepository(
            loaded.manifest.repo_id,
            revision=tree.oid,
            endpoint=connection.endpoint,
            token=connection.token or False,
        )

    return CardRelease(
        files=files,
        beside=_digests(tree, wanted, published),
        oid=tree.oid,
        page=_page(build, wanted, published),
        other_sources=tuple(_other_sources(build, tree)),
    )


def require_card_ready(loaded: LoadedManifest, build: BuildFolder, cards: CardRelease) -> None:
    """Refuse a card that is not of the SAEs and the numbers that are published beside it.

    Raises:
        NotReady, NotChecked, UnreadableReport: as `require_ready`, or the card was rendered from
            another report or training record than the Hub has.
    """
    if cards.other_sources:
        reasons = [
            f"{name} on the Hub is another one than the card is rendered from"
            for name in cards.other_sources
        ]
        raise NotReady(
            "the card may not be pushed alone:\n" + "\n".join(f"  - {each}" for each in reasons),
            reasons=reasons,
            where=loaded.manifest.repo_id,
            expected="a card of the numbers that are published beside it",
            next_step=(
                f"release push {loaded.path}, which sends them too; or move {build.root} away, and "
                "push the card again: what is published is fetched then"
            ),
        )
    sha256 = {path: file.sha256 for path, file in cards.files.items()}
    require_ready(loaded, build, {**sha256, **cards.beside}, page=cards.page)


def _page(
    build: BuildFolder, saes: Mapping[str, Path], published: Callable[[], Repository]
) -> Repository:
    folder = LocalRepository(build.repository)
    if all(file.is_file() for file in saes.values()):
        return folder
    return OverlaidRepository(folder, published(), saes)


def _other_sources(build: BuildFolder, tree: RemoteTree) -> Iterator[str]:
    for path in (build.report_json, build.training_json):
        there = tree.files.get(path.name)
        if not path.is_file():
            is_same = there is None
        else:
            is_same = there is not None and there.is_same_as(describe_file(path.name, path))
        if not is_same:
            yield path.name


@contextmanager
def fetched_saes(
    loaded: LoadedManifest, cards: CardRelease, connection: HubConnection
) -> Iterator[SaesElsewhere]:
    """The SAEs on the Hub that a card stands beside, fetched if its code has to be run again."""
    with tempfile.TemporaryDirectory(prefix="sae-release-", ignore_cleanup_errors=True) as folder:
        fetch = partial(_fetched, loaded.manifest.repo_id, cards.oid, connection, Path(folder))
        yield SaesElsewhere(sha256=cards.beside, fetch=fetch)


def _fetched(
    repo_id: str,
    oid: str | None,
    connection: HubConnection,
    folder: Path,
    paths: Sequence[str],
) -> Mapping[str, Path]:
    with without_client_bars(), hub_errors_explained(f"fetching SAEs of {repo_id}", connection):
        copy = connection.api().snapshot_download(
            repo_id,
            revision=oid,
            allow_patterns=[glob.escape(path) for path in paths],
            cache_dir=folder / "cache",
            local_dir=folder / "copy",
        )
    return {path: Path(copy) / Path(*path.split("/")) for path in paths}


def _digests(
    tree: RemoteTree, wanted: dict[str, Path], published: Callable[[], Repository]
) -> dict[str, str]:
    """SHA-256 of files on the Hub, which itself names that of the large ones only.

    A small file that lies on disk with the same bytes, by the digest that the Hub does name, is
    not downloaded: each one costs a request.
    """
    digests: dict[str, str] = {}
    unknown = []
    for path, local in wanted.items():
        there = tree.files.get(path)
        if there is None:
            continue
        if there.lfs_sha256 is not None:
            digests[path] = there.lfs_sha256
        elif local.is_file() and there.is_same_as(own := describe_file(path, local)):
            digests[path] = own.sha256
        else:
            unknown.append(path)
    if unknown:
        published().prefetch(unknown)
        digests |= {path: published().sha256(path) for path in unknown}
    return digests
