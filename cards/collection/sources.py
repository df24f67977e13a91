"""What the card of a collection is made of: its file, its members' manifests and their reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from cards.overrides import read_overrides
from cards.sources import Sources, read_sources
from manifests.build_folder import BuildFolder
from manifests.collection import CountedMember, LoadedCollection, load_collection
from manifests.load import LoadedManifest
from manifests.tool_version import tool_version

SourcesOf = Callable[[LoadedManifest, BuildFolder], Sources]


@dataclass(frozen=True)
class MemberSources:
    """A member, and what a build of its manifest has; None without a manifest."""

    counted: CountedMember
    built: Sources | None

    @property
    def is_measured(self) -> bool:
        """Whether a report at hand has measured its SAEs."""
        return self.built is not None and self.built.has_measurements


@dataclass(frozen=True)
class CollectionSources:
    """Everything that the card is rendered from; equal sources give equal bytes."""

    loaded: LoadedCollection
    members: tuple[MemberSources, ...]
    tool_version: str
    overrides: dict[str, str] = field(default_factory=dict)


def read_collection_sources(
    path: Path, builds: Path, *, sources_of: SourcesOf = read_sources
) -> CollectionSources:
    """Read a collection, its members' manifests, and the reports in `builds/<manifest>/`.

    Args:
        path: the collection's YAML file.
        builds: the folder that has one of each manifest's name.
        sources_of: reads a member's build; a caller that has read it already need not do so again.

    Raises:
        YamlProblem, ManifestError, CollectionProblem: see `load_collection`.
        UnreadableReport, UnreadableTrainingRecord, SourcesDisagree: of a member's build; its own
            card cannot be rendered either.
        BadOverride: a partial beside the collection stands for none of ours.
    """
    loaded = load_collection(path)
    return CollectionSources(
        loaded=loaded,
        members=tuple(
            MemberSources(
                counted=member,
                built=None
                if member.loaded is None
                else sources_of(member.loaded, BuildFolder(builds / member.loaded.name)),
            )
            for member in loaded.members
        ),
        tool_version=tool_version(),
        # It reads nothing but the path.
        overrides=read_overrides(cast(LoadedManifest, loaded)),
    )
