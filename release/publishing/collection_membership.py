"""A collection on the Hub: found by its slug or title, made where there is none, and filled.

What a manifest does not name stays: items are added and never taken out, and a note that somebody
wrote in words of their own is left alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from manifests.hub_settings import is_slug
from release.gate import NotReady
from release.hub_connection import HubConnection, hub_errors_explained
from release.publishing.setting_change import SettingChange
from validators.presenting.tally import counted

if TYPE_CHECKING:
    from huggingface_hub import Collection, CollectionItem

# Limits of the Hub in characters, both inclusive: huggingface_hub's `create_collection` and
# `add_collection_item`.
MAX_DESCRIPTION = 150
MAX_NOTE = 500
_OWN_NOTE = re.compile(r"\d+ SAEs? (?:on|in) .+|SAEs (?:on [\w.-]+/[\w.-]+|in \d+ repositories)")


class NoSuchCollection(NotReady):
    """A manifest names a collection by a slug that the Hub does not know."""


@dataclass(frozen=True)
class WantedItem:
    """A repository that a collection is to list, and the note beside it."""

    repo_id: str
    note: str


@dataclass(frozen=True)
class WantedCollection:
    """What a collection is to be.

    Attributes:
        named: its slug, or its title in the namespace `owner`.
        owner: who it belongs to, where it is named by its title.
        repo_id: the manifest's own repository, which is there once it was pushed.
        items: what it is to list; it may list more.
        title, description: None: as they are, and of a new one its title alone.
    """

    named: str
    owner: str
    repo_id: str
    items: tuple[WantedItem, ...]
    title: str | None = None
    description: str | None = None


def note_of(n_saes: int | None, base_model_id: str) -> str:
    """What stands beside a repository in a collection."""
    if n_saes is None:
        return f"SAEs on {base_model_id}"
    return f"{counted(n_saes, 'SAE')} on {base_model_id}"


def shortened(text: str) -> str:
    """The sentences from the start of a text that a description has room for, or its first words.

    At most `MAX_DESCRIPTION` characters.
    """
    text = " ".join(text.split())
    if len(text) <= MAX_DESCRIPTION:
        return text
    end = max(
        (m.end() for m in re.finditer(r"\.(?= )", text) if m.end() <= MAX_DESCRIPTION), default=0
    )
    if end:
        return text[:end]
    return text[:MAX_DESCRIPTION].rpartition(" ")[0].rstrip(",;:") + "\N{HORIZONTAL ELLIPSIS}"


def found_collection(wanted: WantedCollection, connection: HubConnection) -> Collection | None:
    """The collection with all its items; None where nobody has made one of this title yet.

    Raises:
        NoSuchCollection: it is named by a slug that the Hub does not know, or not to this token.
        HubUnavailable: the Hub does not answer.
    """
    from huggingface_hub.errors import HfHubHTTPError

    api = connection.api()
    with hub_errors_explained(f"reading the collection {wanted.named}", connection):
        slug = wanted.named
        if not is_slug(slug):
            # A list holds four items of each collection, so the one that is found is read again.
            listed = api.list_collections(owner=wanted.owner)
            slugs = [each.slug for each in listed if each.title == wanted.named]
            if not slugs:
                return None
            slug = slugs[0]
        try:
            return api.get_collection(slug)
        except HfHubHTTPError as error:
            if error.response is None or error.response.status_code != 404:
                raise
    raise NoSuchCollection(
        f"hub.collection names {slug}, which the Hub does not know",
        where=connection.endpoint,
        expected="the slug of a collection that this token may see",
        next_step="copy the slug from the address of its page, or give a title: it is made then",
    )


def collection_changes(
    wanted: WantedCollection, found: Collection | None, connection: HubConnection
) -> tuple[SettingChange, ...]:
    """What would change of a collection, and in it.

    A repository that the Hub does not show yet is listed by the push that makes it.

    Raises:
        HubUnavailable: the Hub does not answer.
    """
    name = f"collection {wanted.named}"
    changes = []
    if found is None:
        changes.append(SettingChange(name, "there is none", "made"))
    elif wanted.title not in (None, found.title):
        changes.append(SettingChange(f"title of {name}", found.title, str(wanted.title)))
    said = (found.description if found else None) or ""
    if wanted.description not in (None, said):
        now = said or "none"
        changes.append(SettingChange(f"description of {name}", now, str(wanted.description)))
    listed = _listed(found)
    for item in wanted.items:
        there = listed.get(item.repo_id.lower())
        if there is None:
            if item.repo_id == wanted.repo_id or _is_on_hub(item.repo_id, connection):
                listing = f"lists {item.repo_id}"
                changes.append(SettingChange(name, f"does not list {item.repo_id}", listing))
        elif _is_outdated(there, item):
            of = f"note on {item.repo_id} in {name}"
            changes.append(SettingChange(of, there.note or "none", item.note))
    return tuple(changes)


def bring_up_to_date(
    wanted: WantedCollection,
    found: Collection | None,
    changes: tuple[SettingChange, ...],
    connection: HubConnection,
    *,
    public: bool,
) -> None:
    """Carry out the changes, each of which may have been carried out before.

    Args:
        wanted: what the collection is to be.
        found: what it is.
        changes: which of `collection_changes` to carry out.
        connection: the Hub.
        public: a collection that is made is public; private otherwise.

    Raises:
        HubUnavailable: the Hub does not answer, or refuses.
    """
    if not changes:
        return
    api = connection.api()
    asked = {(change.name, change.wanted) for change in changes}
    name = f"collection {wanted.named}"
    with hub_errors_explained(f"changing the collection {wanted.named}", connection):
        if found is None:
            if (name, "made") not in asked:
                return
            found = api.create_collection(
                wanted.named,
                namespace=wanted.owner,
                description=wanted.description,
                private=not public,
                exists_ok=True,
            )
        title = wanted.title if (f"title of {name}", wanted.title) in asked else None
        described = (f"description of {name}", wanted.description) in asked
        description = wanted.description if described else None
        if title not in (None, found.title) or description not in (None, found.description):
            found = api.update_collection_metadata(found.slug, title=title, description=description)
        listed = _listed(found)
        for item in wanted.items:
            there = listed.get(item.repo_id.lower())
            if there is None and (name, f"lists {item.repo_id}") in asked:
                api.add_collection_item(
                    found.slug, item.repo_id, "model", note=item.note, exists_ok=True
                )
            elif there is not None and (f"note on {item.repo_id} in {name}", item.note) in asked:
                api.update_collection_item(found.slug, there.item_object_id, note=item.note)


def _listed(found: Collection | None) -> dict[str, CollectionItem]:
    """The models that a collection lists, by id in lower case."""
    items = found.items if found else []
    return {item.item_id.lower(): item for item in items if item.item_type == "model"}


def _is_outdated(there: CollectionItem, wanted: WantedItem) -> bool:
    """Whether a note is one that an earlier push wrote, of other numbers."""
    return there.note != wanted.note and _OWN_NOTE.fullmatch(there.note or "") is not None


def _is_on_hub(repo_id: str, connection: HubConnection) -> bool:
    with hub_errors_explained(f"looking for {repo_id}", connection):
        return bool(connection.api().repo_exists(repo_id))
