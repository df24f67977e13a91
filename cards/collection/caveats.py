"""The limitations that members of a collection share, each once, with whose they are."""

from __future__ import annotations

from dataclasses import dataclass

from manifests.collection import LoadedCollection
from manifests.model import Caveat


@dataclass(frozen=True)
class SharedCaveat:
    """A caveat of several manifests; `is_of_all`: of every member that has one."""

    caveat: Caveat
    repo_ids: tuple[str, ...]
    is_of_all: bool


@dataclass(frozen=True)
class Caveats:
    """Shared caveats in the order of their first mention; titles of the others, by repository."""

    shared: tuple[SharedCaveat, ...]
    own: tuple[tuple[str, tuple[str, ...]], ...]


def caveats(loaded: LoadedCollection) -> Caveats:
    """Sort the caveats of the members' manifests; equal are those of the same title and text."""
    by_member = {
        member.repo_id: member.loaded.manifest.caveats for member in loaded.members if member.loaded
    }
    whose: dict[Caveat, list[str]] = {}
    for repo_id, found in by_member.items():
        for caveat in dict.fromkeys(found):
            whose.setdefault(caveat, []).append(repo_id)
    shared = {caveat: repo_ids for caveat, repo_ids in whose.items() if len(repo_ids) > 1}
    own = {
        repo_id: tuple(caveat.title for caveat in found if caveat not in shared)
        for repo_id, found in by_member.items()
    }
    return Caveats(
        shared=tuple(
            SharedCaveat(caveat, tuple(repo_ids), len(repo_ids) == len(by_member))
            for caveat, repo_ids in shared.items()
        ),
        own=tuple((repo_id, titles) for repo_id, titles in own.items() if titles),
    )
