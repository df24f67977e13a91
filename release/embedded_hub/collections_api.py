"""Calls about collections."""

from __future__ import annotations

import uuid
from typing import Any

from starlette.responses import JSONResponse, Response

from release.embedded_hub.call import Call
from release.embedded_hub.collection_store import Record, slug_of
from release.embedded_hub.errors import Refusal
from release.embedded_hub.repositories import now

_PAGE = 100
# Of each collection in a list, as the Hub does; all items only of a collection by itself.
_LISTED_ITEMS = 4
_MAX_DESCRIPTION = 150
_MAX_NOTE = 500
_ITEM_KINDS = frozenset({"model", "dataset", "space", "paper", "collection"})


def list_collections(call: Call) -> Response:
    """GET /api/collections?owner=&item=&limit=, by pages."""
    owners = [value for key, value in call.query if key == "owner"]
    items = [value for key, value in call.query if key == "item"]
    found = []
    for record in call.hub.collections.all():
        held = {f"{item['type']}s/{item['id']}" for item in record["items"]}
        if (
            _is_visible(call, record)
            and (not owners or record["owner"] in owners)
            and set(items) <= held
        ):
            listed = _answer(record)
            # The client counts positions itself and takes none.
            del listed["position"]
            found.append(listed | {"items": listed["items"][:_LISTED_ITEMS]})
    limit = call.one("limit")
    size = min(int(limit), _PAGE) if limit.isdecimal() and limit != "0" else _PAGE
    return call.page_of(found, size)


def create(call: Call) -> Response:
    """POST /api/collections; 409 with the slug if the owner has one of this title."""
    caller, wanted = call.writer(), call.json()
    owner, title = str(wanted.get("namespace") or caller.name), wanted.get("title")
    if not isinstance(title, str) or not title.strip():
        raise Refusal(400, "A collection needs a title")
    _refuse_too_big(wanted, "description", _MAX_DESCRIPTION)
    call.hub.accounts.claim_namespace(caller, owner)
    with call.hub.collections.lock:
        record = call.hub.collections.create(
            owner=owner,
            title=title.strip(),
            description=str(wanted.get("description") or ""),
            private=bool(wanted.get("private")),
        )
    return JSONResponse(_answer(record))


def get(call: Call) -> Response:
    """GET /api/collections/{slug}."""
    record = call.hub.collections.find(_slug(call))
    if not _is_visible(call, record):
        raise Refusal(404, f"No collection {_slug(call)}")
    return JSONResponse(_answer(record))


def change(call: Call) -> Response:
    """PATCH /api/collections/{slug}: title, description, private, theme, position."""
    record, wanted = _writable(call), call.json()
    _refuse_too_big(wanted, "description", _MAX_DESCRIPTION)
    with call.hub.collections.lock:
        record |= {
            key: wanted[key]
            for key in ("title", "description", "private", "theme", "position")
            if key in wanted
        }
        identity = record["slug"].rpartition("-")[2]
        record["slug"] = slug_of(record["owner"], str(record["title"]), identity)
        _touch(call, record)
    return JSONResponse({"success": True, "data": _answer(record)})


def delete(call: Call) -> Response:
    """DELETE /api/collections/{slug}."""
    record = _writable(call)
    with call.hub.collections.lock:
        call.hub.collections.delete(record)
    return JSONResponse({"success": True})


def add_item(call: Call) -> Response:
    """POST /api/collections/{slug}/items; 404 for an unknown repository, 409 if it is in it."""
    record, wanted = _writable(call), call.json()
    _refuse_too_big(wanted, "note", _MAX_NOTE)
    item = wanted.get("item")
    if not isinstance(item, dict) or item.get("type") not in _ITEM_KINDS:
        raise Refusal(400, f"item needs an id and a type among {sorted(_ITEM_KINDS)}")
    kind, item_id = str(item["type"]), str(item.get("id"))
    if kind in {"model", "dataset", "space"}:
        namespace, _, name = item_id.partition("/")
        item_id = call.visible(kind, namespace, name).repo_id
    with call.hub.collections.lock:
        if any((each["type"], each["id"]) == (kind, item_id) for each in record["items"]):
            raise Refusal(409, f"The collection holds {item_id} already")
        entry: dict[str, Any] = {"_id": uuid.uuid4().hex[:24], "type": kind, "id": item_id}
        if wanted.get("note"):
            entry["note"] = {"text": str(wanted["note"]), "html": str(wanted["note"])}
        record["items"].append(entry)
        _touch(call, record)
    return JSONResponse(_answer(record))


def change_item(call: Call) -> Response:
    """PATCH /api/collections/{slug}/items/{item}: note, position."""
    record, wanted = _writable(call), call.json()
    _refuse_too_big(wanted, "note", _MAX_NOTE)
    with call.hub.collections.lock:
        entry = _item(call, record)
        if "note" in wanted:
            entry["note"] = {"text": str(wanted["note"]), "html": str(wanted["note"])}
        if isinstance(position := wanted.get("position"), int):
            record["items"].remove(entry)
            record["items"].insert(position, entry)
        _touch(call, record)
    return JSONResponse({"success": True})


def delete_item(call: Call) -> Response:
    """DELETE /api/collections/{slug}/items/{item}."""
    record = _writable(call)
    with call.hub.collections.lock:
        record["items"].remove(_item(call, record))
        _touch(call, record)
    return JSONResponse({"success": True})


def _refuse_too_big(wanted: dict[str, Any], key: str, limit: int) -> None:
    """Refuse a text over the Hub's limit, in its words, which say less than and mean at most."""
    if len(str(wanted.get(key) or "")) > limit:
        raise Refusal(400, f"Too big: expected string to have <{limit} characters at {key}")


def _slug(call: Call) -> str:
    return f"{call.parameters['namespace']}/{call.parameters['slug']}"


def _is_visible(call: Call, record: Record) -> bool:
    if not record["private"]:
        return True
    caller = call.caller()
    return caller is not None and call.hub.accounts.is_member(caller.name, record["owner"])


def _writable(call: Call) -> Record:
    caller = call.writer()
    record = call.hub.collections.find(_slug(call))
    if not call.hub.accounts.is_member(caller.name, record["owner"]):
        raise Refusal(403, f"You don't have write access to {record['slug']}")
    return record


def _item(call: Call, record: Record) -> dict[str, Any]:
    for entry in record["items"]:
        if entry["_id"] == call.parameters["item"]:
            return entry  # type: ignore[no-any-return]
    raise Refusal(404, f"No item {call.parameters['item']}")


def _touch(call: Call, record: Record) -> None:
    record["lastUpdated"] = now()
    call.hub.collections.save()


def _answer(record: Record) -> dict[str, Any]:
    items = [{**item, "position": at} for at, item in enumerate(record["items"])]
    owner = {"name": record["owner"], "type": "user"}
    return record | {"items": items, "owner": owner, "upvotes": 0}
