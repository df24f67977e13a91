"""Visibility, gating and collection of a repository, held against its manifest and brought there.

What closes a repository is done before the commit, so that nothing new is seen by more people than
the manifest says; what opens it, and what lists it, when the release was read back. What a manifest
leaves out is neither asked for nor changed, and where nothing differs nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.errors import ReleaseError
from manifests.hub_settings import HubSettings
from manifests.load import LoadedManifest
from release.gate import NotReady
from release.hub_connection import HubConnection, hub_errors_explained
from release.publishing.agreed_change import stale_plan
from release.publishing.collection_membership import (
    WantedCollection,
    WantedItem,
    bring_up_to_date,
    collection_changes,
    found_collection,
    note_of,
)
from release.publishing.remote_tree import RemoteTree
from release.publishing.setting_change import GATED, VISIBILITY, SettingChange
from validators.reading.repository import HubUnavailable

if TYPE_CHECKING:
    from huggingface_hub import Collection

_NONE_YET = "none yet"


class SettingsNotApplied(ReleaseError):
    """The release is published, and a setting of its repository is not what the manifest says."""

    exit_code = 4


@dataclass(frozen=True)
class WantedSettings:
    """What a manifest asks of its repository; None is left as it is.

    `source` is the manifest's file, for messages.
    """

    repo_id: str
    source: Path
    hub: HubSettings
    collection: WantedCollection | None = None


@dataclass(frozen=True)
class SeenSettings:
    """Who sees a repository and who may load its files, as the Hub has it."""

    is_private: bool
    gated: str | bool


@dataclass(frozen=True)
class SettingsDone:
    """What a push changed of the settings, and what it left for want of `--public`."""

    changed: tuple[SettingChange, ...] = ()
    left: tuple[SettingChange, ...] = ()


def wanted_settings(loaded: LoadedManifest) -> WantedSettings:
    """What a manifest says of its repository's settings."""
    manifest = loaded.manifest
    hub = manifest.hub or HubSettings.model_validate({})
    collection = None
    if hub.collection is not None:
        note = note_of(len(loaded.saes), manifest.base_model.id)
        collection = WantedCollection(
            named=hub.collection,
            owner=manifest.repo_id.partition("/")[0],
            repo_id=manifest.repo_id,
            items=(WantedItem(manifest.repo_id, note),),
        )
    return WantedSettings(manifest.repo_id, loaded.path, hub, collection)


def seen_settings(tree: RemoteTree | None) -> SeenSettings | None:
    """The settings of a repository that was read; None where there is none."""
    return SeenSettings(tree.is_private, tree.gated) if tree else None


def setting_changes(
    wanted: WantedSettings, seen: SeenSettings | None, connection: HubConnection
) -> tuple[SettingChange, ...]:
    """What would change; the Hub is asked only where a collection is named.

    Args:
        wanted: what the manifest says.
        seen: the repository as it is; None: there is none yet.
        connection: the Hub.

    Raises:
        NoSuchCollection: the collection's slug is not known.
        HubUnavailable: the Hub does not answer.
    """
    return (*repository_changes(wanted.hub, seen), *_of_collection(wanted, connection)[1])


def repository_changes(hub: HubSettings, seen: SeenSettings | None) -> tuple[SettingChange, ...]:
    """What would change of the repository itself. A new one is private and not gated."""
    changes = []
    visible = _visible(seen)
    if hub.visibility == "public" and visible != "public":
        changes.append(SettingChange(VISIBILITY, visible, "public", needs_public=True))
    if hub.visibility == "private" and visible == "public":
        changes.append(SettingChange(VISIBILITY, visible, "private"))
    gated = seen.gated if seen else False
    if hub.gated is not None and hub.gated != gated:
        changes.append(SettingChange(GATED, _word(gated), _word(hub.gated)))
    return tuple(changes)


def _visible(seen: SeenSettings | None) -> str:
    if seen is None:
        return _NONE_YET
    return "private" if seen.is_private else "public"


def _word(gated: str | bool) -> str:
    return gated if isinstance(gated, str) else "false"


def _of_collection(
    wanted: WantedSettings, connection: HubConnection
) -> tuple[Collection | None, tuple[SettingChange, ...]]:
    if wanted.collection is None:
        return None, ()
    found = found_collection(wanted.collection, connection)
    return found, collection_changes(wanted.collection, found, connection)


@dataclass(frozen=True)
class SettingsStep:
    """The settings in one push.

    Attributes:
        wanted: what the manifest says.
        connection: the Hub.
        public: whether `--public` was given.
        reviewed: the changes that were agreed to; None: whatever differs.
        cards_only: whether `--cards-only` was given.
    """

    wanted: WantedSettings
    connection: HubConnection
    public: bool
    reviewed: tuple[SettingChange, ...] | None = None
    cards_only: bool = False

    @property
    def starts_public(self) -> bool:
        """Whether a repository that has to be made is made public."""
        return self.public and self.wanted.hub.visibility != "private"

    def require_possible(self) -> None:
        """Refuse, before anything is sent, what is not reviewed or cannot be.

        What was not reviewed of a collection, which others fill too, is left for the next push.

        Raises:
            StalePlan: something differs that the plan does not name.
            NoSuchCollection: the collection's slug is not known.
            HubUnavailable: the Hub does not answer.
        """
        if not self._is_asked:
            return
        changes = repository_changes(self.wanted.hub, self._seen())
        new = [change for change in changes if not self._is_reviewed(change)]
        _of_collection(self.wanted, self.connection)
        if new:
            raise stale_plan(
                [f"{change} is not in it" for change in new],
                where=f"{self.wanted.repo_id} on {self.connection.endpoint}",
                made_from="the settings",
                manifest=self.wanted.source.as_posix(),
            )

    def require_closed(self) -> None:
        """Refuse a pull request whose files more people would see than the manifest says.

        Raises:
            NotReady: the repository is or would be public, and is to be closed or gated.
            HubUnavailable: the Hub does not answer.
        """
        if self.wanted.hub.visibility is None and self.wanted.hub.gated is None:
            return
        seen = self._seen() or SeenSettings(not self.starts_public, False)
        wide = [each for each in repository_changes(self.wanted.hub, seen) if each.restricts]
        if wide and not seen.is_private:
            reasons = [str(each) for each in wide]
            raise NotReady(
                "the pull request would be open to more people than the manifest says:\n"
                + "\n".join(f"  - {reason}" for reason in reasons),
                reasons=reasons,
                where=f"{self.wanted.repo_id} on {self.connection.endpoint}",
                expected="a repository that is as closed as the manifest says",
                next_step="leave --public out of a new one; else set this on its settings page",
            )

    def restrict(self) -> tuple[SettingChange, ...]:
        """Close what is to be closed of the repository, which is there.

        Raises:
            HubUnavailable: the Hub does not answer, or refuses.
        """
        if self.wanted.hub.visibility is None and self.wanted.hub.gated is None:
            return ()
        changes = repository_changes(self.wanted.hub, self._seen())
        closing = tuple(each for each in changes if each.restricts and self._is_reviewed(each))
        self._update_repository(closing)
        return closing

    def finish(self) -> SettingsDone:
        """Bring every setting to what the manifest says, once the release is published.

        Raises:
            SettingsNotApplied: the Hub did not answer or refuses, or shows another setting than the
                one it took.
        """
        if not self._is_asked:
            return SettingsDone()
        done: list[SettingChange] = []
        try:
            left = tuple(self._finish(done))
        except ReleaseError as error:
            raise self._not_applied(done, error.what, error.next_step) from error
        return SettingsDone(tuple(done), left)

    def _finish(self, done: list[SettingChange]) -> Iterator[SettingChange]:
        """Do what is to be done, noting it in `done`, and give what is left for `--public`."""
        changes = self._reviewed(repository_changes(self.wanted.hub, self._seen()))
        possible = tuple(change for change in changes if self.public or not change.needs_public)
        self._update_repository(possible)
        done += possible
        yield from (change for change in changes if change not in possible)
        found, changes = _of_collection(self.wanted, self.connection)
        changes = self._reviewed(changes)
        if self.wanted.collection is None:
            return
        try:
            bring_up_to_date(
                self.wanted.collection, found, changes, self.connection, public=self.starts_public
            )
        except HubUnavailable:
            # The answer may have been lost after the Hub had acted.
            if self._reviewed(_of_collection(self.wanted, self.connection)[1]):
                raise
        done += changes

    @property
    def _is_asked(self) -> bool:
        """Whether the manifest says anything of settings."""
        hub = self.wanted.hub
        return not (hub.visibility is None and hub.gated is None and hub.collection is None)

    def _reviewed(self, changes: tuple[SettingChange, ...]) -> tuple[SettingChange, ...]:
        return tuple(change for change in changes if self._is_reviewed(change))

    def _is_reviewed(self, change: SettingChange) -> bool:
        return self.reviewed is None or any(change.is_same_as(each) for each in self.reviewed)

    def _seen(self) -> SeenSettings | None:
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

        with hub_errors_explained(
            f"reading the settings of {self.wanted.repo_id}", self.connection
        ):
            try:
                info = self.connection.api().model_info(self.wanted.repo_id)
            except GatedRepoError:
                raise
            except RepositoryNotFoundError:
                return None
        return SeenSettings(bool(info.private), info.gated or False)

    def _update_repository(self, changes: Sequence[SettingChange]) -> None:
        """One request for all of them; none where there is nothing to change."""
        if not changes:
            return
        wanted: dict[str, Any] = {}
        for change in changes:
            key = {VISIBILITY: "visibility", GATED: "gated"}[change.name]
            wanted[key] = False if change.wanted == "false" else change.wanted
        doing = f"changing the settings of {self.wanted.repo_id}"
        try:
            with hub_errors_explained(doing, self.connection):
                self.connection.api().update_repo_settings(self.wanted.repo_id, **wanted)
        except HubUnavailable:
            # The answer may have been lost after the Hub had acted.
            if self._differing(changes):
                raise
        if differing := self._differing(changes):
            raise HubUnavailable(
                f"the Hub took the settings and shows others: {'; '.join(map(str, differing))}",
                where=doing,
                expected="what it was asked for",
                next_step="look at the repository's settings page",
            )

    def _differing(self, changes: Sequence[SettingChange]) -> list[SettingChange]:
        """Those of the changes that the Hub does not show."""
        left = repository_changes(self.wanted.hub, self._seen())
        return [each for each in left if any(each.is_same_as(one) for one in changes)]

    def _not_applied(
        self, done: Sequence[SettingChange], why: str, remedy: str | None
    ) -> SettingsNotApplied:
        told = "".join(f"\n  - done: {change}" for change in done)
        options = (
            f"{' --cards-only' if self.cards_only else ''}{' --public' if self.public else ''}"
        )
        again = f"release push {self.wanted.source.as_posix()}{options}{self.connection.option}"
        return SettingsNotApplied(
            f"the release is published; its settings are not all as the manifest says: {why}{told}",
            where=f"{self.wanted.repo_id} on {self.connection.endpoint}",
            expected="a token that may change settings and collections, not files alone",
            next_step=f"{again} (sends no file again){f'; {remedy}' if remedy else ''}",
        )
