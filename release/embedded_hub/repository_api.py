"""Calls about whole repositories: create, list, describe, change, move, delete."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from release.embedded_hub.call import Call
from release.embedded_hub.errors import Refusal
from release.embedded_hub.listing import sibling
from release.embedded_hub.model_card import card_data, derived_tags
from release.embedded_hub.names import PLURALS, REPO_KINDS, check_repo_id
from release.embedded_hub.repositories import Repository

_PAGE = 1000


def whoami(call: Call) -> Response:
    """GET /api/whoami-v2."""
    return JSONResponse(call.hub.accounts.whoami(call.headers.get("authorization")))


def create(call: Call) -> Response:
    """POST /api/repos/create; 409 with the URL when the repository exists."""
    caller, wanted = call.writer(), call.json()
    kind = _kind(wanted)
    namespace, name = str(wanted.get("organization") or caller.name), str(wanted.get("name"))
    repo_id = check_repo_id(namespace, name)
    call.hub.accounts.claim_namespace(caller, namespace)
    private = wanted.get("visibility") == "private" or wanted.get("private") is True
    existing = call.hub.repositories.find(kind, repo_id)
    if existing is not None:
        url = call.repository_url(existing)
        raise Refusal(409, f"You already created this {kind} repo", body={"url": url})
    made = call.hub.repositories.create(kind, repo_id, private=private, author=caller.name)
    return JSONResponse({"url": call.repository_url(made), "name": made.repo_id, "id": _id(made)})


def delete(call: Call) -> Response:
    """DELETE /api/repos/delete."""
    caller, wanted = call.writer(), call.json()
    namespace = str(wanted.get("organization") or caller.name)
    repository = call.visible(_kind(wanted), namespace, str(wanted.get("name")))
    call.may_write(repository)
    call.hub.repositories.delete(repository)
    return JSONResponse({})


def move(call: Call) -> Response:
    """POST /api/repos/move; the old name is free afterwards and does not redirect."""
    wanted = call.json()
    old_namespace, _, old_name = str(wanted.get("fromRepo")).partition("/")
    new_namespace, _, new_name = str(wanted.get("toRepo")).partition("/")
    repository = call.visible(_kind(wanted), old_namespace, old_name)
    _, caller = call.may_write(repository)
    repo_id = check_repo_id(new_namespace, new_name)
    call.hub.accounts.claim_namespace(caller, new_namespace)
    call.hub.repositories.rename(repository, repo_id)
    return JSONResponse({"url": call.repository_url(repository)})


def change_settings(call: Call) -> Response:
    """PUT /api/{kind}/{id}/settings: `visibility` (or `private`) and `gated`.

    A token of keyless publishing is refused: the Hub documents of it that it writes files.
    """
    repository = call.repository()
    call.writer()
    call.may_write(repository)
    wanted = call.json()
    changes: dict[str, Any] = {}
    if "visibility" in wanted:
        if wanted["visibility"] not in ("private", "public"):
            raise Refusal(400, "visibility must be private or public")
        changes["private"] = wanted["visibility"] == "private"
    elif "private" in wanted:
        changes["private"] = bool(wanted["private"])
    if "gated" in wanted:
        if wanted["gated"] not in ("auto", "manual", False):
            raise Refusal(400, "gated must be auto, manual or false")
        changes["gated"] = wanted["gated"]
    repository.update(**changes)
    return JSONResponse(changes)


def auth_check(call: Call) -> Response:
    """GET /api/{kind}/{id}/auth-check[/write]."""
    repository = call.repository()
    refuse_gated(call, repository)
    if call.path.endswith("/write"):
        call.may_write(repository)
    return JSONResponse({})


def refuse_gated(call: Call, repository: Repository) -> None:
    """Refuse the files of a gated repository to all but its namespace.

    Raises:
        Refusal: GatedRepo, 401 for anonymous callers and 403 for others.
    """
    if not repository.gated:
        return
    caller = call.caller()
    if caller is None:
        raise Refusal(401, f"Access to {repository.repo_id} is restricted.", code="GatedRepo")
    if not call.hub.accounts.may_enter(caller, repository.repo_id):
        message = f"Access to {repository.repo_id} is restricted and you are not authorised."
        raise Refusal(403, message, code="GatedRepo")


def describe(call: Call) -> Response:
    """GET /api/{kind}/{id}[/revision/{rev}][?blobs=true]."""
    repository = call.repository()
    commit = repository.git.resolve(call.parameters.get("revision", "main"))
    info = _summary(repository, commit)
    with_blobs = call.flag("blobs")
    files = repository.git.snapshot(commit).files.values()
    info["siblings"] = [sibling(file, with_blobs=with_blobs) for file in files]
    info["usedStorage"] = sum(file.size_bytes for file in files)
    return JSONResponse(info)


def list_repositories(call: Call) -> Response:
    """GET /api/{kind}?author=&search=&filter=&limit=, newest first, by pages."""
    kind = REPO_KINDS.get(call.parameters["kind"])
    if kind is None:
        raise Refusal(404, "Sorry, we can't find the page you are looking for.")
    caller = call.caller()
    author, search = call.one("author").lower(), call.one("search").lower()
    wanted_tags = {value for key, value in call.query if key == "filter" and value}
    found = []
    for repository in call.hub.repositories.all(kind):
        member = caller and call.hub.accounts.may_enter(caller, repository.repo_id)
        if repository.is_private and not member:
            continue
        if author and repository.namespace.lower() != author:
            continue
        if search not in repository.repo_id.lower():
            continue
        info = _summary(repository, repository.git.resolve("main"))
        if wanted_tags <= set(info["tags"]):
            found.append(info)
    limit = call.one("limit")
    return call.page_of(
        found, min(int(limit), _PAGE) if limit.isdecimal() and limit != "0" else _PAGE
    )


def _summary(repository: Repository, commit: str) -> dict[str, Any]:
    readme = repository.git.snapshot(commit).files.get("README.md")
    data = card_data(repository.git.blob(readme.oid)) if readme and not readme.pointer else None
    info: dict[str, Any] = {
        "_id": _id(repository),
        "id": repository.repo_id,
        "author": repository.namespace,
        "sha": commit,
        "lastModified": repository.git.record(commit).date,
        "createdAt": repository.created_at,
        "private": repository.is_private,
        "gated": repository.gated,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": derived_tags(data or {}),
    }
    if repository.kind == "model":
        info["modelId"] = repository.repo_id
        for key in ("library_name", "pipeline_tag"):
            if data and isinstance(data.get(key), str):
                info[key] = data[key]
    if data is not None:
        info["cardData"] = data
        if "model-index" in data:
            info["model-index"] = data["model-index"]
    return info


def _id(repository: Repository) -> str:
    return repository.folder.name[:24]


def _kind(wanted: dict[str, Any]) -> str:
    kind = wanted.get("type") or "model"
    if kind not in PLURALS:
        raise Refusal(400, f"Unknown repository type: {kind!r}")
    return str(kind)
