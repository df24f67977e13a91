"""The card that a Hub shows, held against what rendering gives now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from cards.block_results import CARD, SECTION
from cards.figures.files import INDEX, FigureIndex
from cards.text_difference import text_difference
from release.hub_connection import HubConnection, hub_errors_explained
from validators.reading.hub_repository import HubRepository
from validators.reading.repository import MAX_JSON_BYTES, UnreadableFile

REPORT = "report.json"


@dataclass(frozen=True)
class PublishedCard:
    """The files of a card at the head of a repository; `oid` is None where there is none.

    `has_report`: the repository has the numbers that its card was rendered from.
    """

    repo_id: str
    oid: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    has_report: bool = False


@dataclass(frozen=True)
class WantedCard:
    """What rendering gives for a repository: all its text files, and how the manifest is called."""

    name: str
    repo_id: str
    files: Mapping[str, bytes]


def published_card(wanted: WantedCard, connection: HubConnection) -> PublishedCard:
    """Read from the head of the repository the files that rendering gives, and figures.json.

    Raises:
        HubUnavailable: the Hub gave no answer, or refused one.
        UnreadableFile: a file there is longer than any card.
    """
    with hub_errors_explained(f"looking for {wanted.repo_id}", connection):
        if not connection.api().repo_exists(wanted.repo_id):
            return PublishedCard(wanted.repo_id)
    repository = HubRepository(
        wanted.repo_id, endpoint=connection.endpoint, token=connection.token or False
    )
    paths = [path for path in (*wanted.files, INDEX) if path in repository.files]
    for path in paths:
        if repository.size_of(path) > MAX_JSON_BYTES:
            raise UnreadableFile(
                f"is {repository.size_of(path)} bytes long",
                where=f"{repository.location}/{path}",
                expected=f"at most {MAX_JSON_BYTES} bytes",
            )
    repository.prefetch(paths)
    return PublishedCard(
        repo_id=wanted.repo_id,
        oid=repository.oid,
        files={path: repository.read_range(path, 0, repository.size_of(path)) for path in paths},
        has_report=REPORT in repository.files,
    )


def differences(wanted: WantedCard, published: PublishedCard) -> dict[str, str]:
    """What is not on the Hub as rendering gives it: a diff by path_in_repo; of a figure, why.

    What was found on running the card's code is no part of it: it is of the machine that ran it.
    """
    stale = {}
    for path, content in wanted.files.items():
        there = published.files.get(path)
        if there != content and not (path == CARD and _same_but_blocks(there, content)):
            stale[path] = text_difference(path, there or b"", content, where="on the Hub")
    return stale | dict(_figures(wanted, published))


def _same_but_blocks(there: bytes | None, content: bytes) -> bool:
    try:
        cards = [json.loads(card) for card in (there or b"", content)]
    except ValueError:
        return False
    for card in cards:
        if isinstance(card, dict):
            card.pop(SECTION, None)
    return bool(cards[0] == cards[1])


def _figures(wanted: WantedCard, published: PublishedCard) -> Iterator[tuple[str, str]]:
    """Figures that the Hub lacks, has of other numbers, or has to no purpose."""
    card = json.loads(wanted.files[CARD])
    digests: dict[str, str] = card.get("figures", {})
    there = _drawn(published.files.get(INDEX))
    for path, digest in digests.items():
        if path not in there:
            yield path, f"{path}: it is not on the Hub\n"
        elif there[path] != digest:
            yield path, f"{path}: on the Hub it is of other numbers\n"
    for path in there.keys() - digests.keys():
        yield path, f"{path}: on the Hub it shows what no source has\n"


def _drawn(index: bytes | None) -> dict[str, str]:
    """By path_in_repo the digest of a figure's numbers; none of an index that cannot be read."""
    try:
        figures = FigureIndex.model_validate_json(index or b"", strict=True).figures
    except ValidationError:
        return {}
    return {path: drawn.data_sha256 for path, drawn in figures.items()}


def wanted_card(path: Path, builds: Path) -> WantedCard:
    """What rendering gives for a manifest or a collection; nothing is written.

    Raises:
        ReleaseError: see `cards.stage.render` and `cards.collection.card.collection_files`.
    """
    from cards.collection.card import collection_files
    from cards.sources import read_sources
    from cards.stage import rendered_files
    from manifests.build_folder import BuildFolder
    from manifests.collection import is_collection, load_collection
    from manifests.load import load_manifest

    if is_collection(path):
        repo_id = load_collection(path).collection.repo_id
        return WantedCard(path.stem, repo_id, collection_files(path, builds))
    loaded = load_manifest(path)
    sources = read_sources(loaded, BuildFolder(builds / loaded.name))
    return WantedCard(loaded.name, loaded.manifest.repo_id, rendered_files(sources))
