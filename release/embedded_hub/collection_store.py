"""Collections: named lists of repositories, in `collections.json`."""

from __future__ import annotations

import re
import threading
import uuid
from pathlib import Path
from typing import Any

from release.embedded_hub.errors import Refusal
from release.embedded_hub.repositories import now
from release.embedded_hub.state_files import read_json, write_json

Record = dict[str, Any]


class CollectionStore:
    """The collections of one hub; every change is saved before it is answered."""

    def __init__(self, root: Path) -> None:
        self._path = root / "collections.json"
        self.lock = threading.RLock()
        self._known: dict[str, Record] = read_json(self._path) or {}

    def save(self) -> None:
        """Write `collections.json`."""
        write_json(self._path, self._known)

    def all(self) -> list[Record]:
        """All collections, the one changed last first."""
        return sorted(self._known.values(), key=lambda each: each["lastUpdated"], reverse=True)

    def find(self, slug: str) -> Record:
        """A collection; only the hexadecimal end of its slug is looked at, as on the Hub.

        Raises:
            Refusal: 404, there is none.
        """
        found = self._known.get(slug.rpartition("-")[2])
        if found is None or found["owner"] != slug.partition("/")[0]:
            raise Refusal(404, f"No collection {slug}")
        return found

    def create(self, *, owner: str, title: str, description: str, private: bool) -> Record:
        """A new, empty collection.

        Raises:
            Refusal: 409 with the slug, the owner has one of this title.
        """
        for known in self._known.values():
            if (known["owner"], known["title"]) == (owner, title):
                message = f"A collection of this title exists: {title}"
                raise Refusal(409, message, body={"slug": known["slug"]})
        identity = uuid.uuid4().hex[:24]
        record = {
            "slug": slug_of(owner, title, identity),
            "title": title,
            "description": description,
            "owner": owner,
            "private": private,
            "theme": "orange",
            "position": len(self._known),
            "lastUpdated": now(),
            "items": [],
        }
        self._known[identity] = record
        self.save()
        return record

    def delete(self, record: Record) -> None:
        """Remove a collection."""
        del self._known[record["slug"].rpartition("-")[2]]
        self.save()


def slug_of(owner: str, title: str, identity: str) -> str:
    """`owner/words-of-the-title-identity`."""
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return f"{owner}/{words}-{identity}" if words else f"{owner}/{identity}"
