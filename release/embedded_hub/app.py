"""Which request goes to which function.

Two applications: the API, and the storage on the second origin. Paths are matched as they were
sent, before percent-decoding, since a revision such as `refs%2Fpr%2F1` is one segment.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from release.embedded_hub import (
    admin_api,
    browse_api,
    collections_api,
    commit_api,
    discussions_api,
    oidc_api,
    refs_api,
    repository_api,
    xet_api,
)
from release.embedded_hub.call import Endpoint, Handler, answered, refusal_response
from release.embedded_hub.errors import Refusal
from release.embedded_hub.hub import Hub
from release.embedded_hub.lfs import LargeFileTransfer
from release.embedded_hub.resolve import resolve
from release.embedded_hub.validate_yaml import validate_yaml
from release.embedded_hub.xet_api import XetEndpoints

_REPO = "/api/{kind}/{namespace}/{name}"
_DISCUSSION = f"{_REPO}/discussions/{{number}}"

_API: list[tuple[str, str, Handler]] = [
    ("GET", "/api/whoami-v2", repository_api.whoami),
    ("POST", "/oauth/token", oidc_api.exchange),
    ("POST", "/api/validate-yaml", validate_yaml),
    ("POST", "/api/repos/create", repository_api.create),
    ("DELETE", "/api/repos/delete", repository_api.delete),
    ("POST", "/api/repos/move", repository_api.move),
    ("GET", "/api/collections", collections_api.list_collections),
    ("POST", "/api/collections", collections_api.create),
    ("GET", "/api/collections/{namespace}/{slug}", collections_api.get),
    ("PATCH", "/api/collections/{namespace}/{slug}", collections_api.change),
    ("DELETE", "/api/collections/{namespace}/{slug}", collections_api.delete),
    ("POST", "/api/collections/{namespace}/{slug}/items", collections_api.add_item),
    ("PATCH", "/api/collections/{namespace}/{slug}/items/{item}", collections_api.change_item),
    ("DELETE", "/api/collections/{namespace}/{slug}/items/{item}", collections_api.delete_item),
    ("GET", "/api/{kind}", repository_api.list_repositories),
    ("GET", _REPO, repository_api.describe),
    ("GET", f"{_REPO}/revision/{{revision}}", repository_api.describe),
    ("PUT", f"{_REPO}/settings", repository_api.change_settings),
    ("GET", f"{_REPO}/auth-check", repository_api.auth_check),
    ("GET", f"{_REPO}/auth-check/write", repository_api.auth_check),
    ("GET", f"{_REPO}/tree/{{revision}}", browse_api.tree),
    ("GET", f"{_REPO}/tree/{{revision}}/{{path:path}}", browse_api.tree),
    ("POST", f"{_REPO}/paths-info/{{revision}}", browse_api.paths_info),
    ("GET", f"{_REPO}/commits/{{revision}}", browse_api.commits),
    ("GET", f"{_REPO}/refs", browse_api.refs),
    ("POST", f"{_REPO}/tag/{{revision}}", refs_api.create_tag),
    ("DELETE", f"{_REPO}/tag/{{revision}}", refs_api.delete_tag),
    ("POST", f"{_REPO}/branch/{{branch}}", refs_api.create_branch),
    ("DELETE", f"{_REPO}/branch/{{branch}}", refs_api.delete_branch),
    ("POST", f"{_REPO}/super-squash/{{branch}}", refs_api.super_squash),
    ("POST", f"{_REPO}/preupload/{{revision}}", commit_api.preupload),
    ("POST", f"{_REPO}/commit/{{revision}}", commit_api.commit),
    ("POST", f"{_REPO}/lfs-files/duplicate", xet_api.duplicate),
    ("GET", f"{_REPO}/xet-write-token/{{revision}}", xet_api.write_token),
    ("GET", f"{_REPO}/xet-read-token/{{revision}}", xet_api.read_token),
    ("GET", f"{_REPO}/discussions", discussions_api.list_discussions),
    ("POST", f"{_REPO}/discussions", discussions_api.create_discussion),
    ("GET", _DISCUSSION, discussions_api.get_discussion),
    ("POST", f"{_DISCUSSION}/comment", discussions_api.comment),
    ("POST", f"{_DISCUSSION}/title", discussions_api.rename),
    ("POST", f"{_DISCUSSION}/status", discussions_api.change_status),
    ("POST", f"{_DISCUSSION}/merge", discussions_api.merge),
    ("POST", f"{admin_api.ADMIN_PREFIX}faults", admin_api.set_faults),
    ("DELETE", f"{admin_api.ADMIN_PREFIX}faults", admin_api.clear_faults),
    ("GET", f"{admin_api.ADMIN_PREFIX}requests", admin_api.list_requests),
    ("POST", f"{admin_api.ADMIN_PREFIX}trusted-publishers", oidc_api.add_publisher),
    ("POST", f"{admin_api.ADMIN_PREFIX}oidc/jobs", oidc_api.start_job),
    ("GET", oidc_api.ID_TOKEN_PATH, oidc_api.id_token),
]


def api_app(
    hub: Hub, transfer: LargeFileTransfer, storage_url: str, threads: ThreadPoolExecutor
) -> ASGIApp:
    """The Hub's API and its download links."""
    table = list(_API)
    # Models have no prefix; datasets and spaces do, so their routes come first.
    for prefix in ("/{kind}/{namespace}/{name}", "/{namespace}/{name}"):
        table += [
            ("GET", f"{prefix}/resolve/{{revision}}/{{path:path}}", resolve),
            ("POST", f"{prefix}.git/info/lfs/objects/batch", transfer.batch),
            ("POST", f"{prefix}.git/info/lfs/objects/verify", transfer.verify),
        ]
    routes = [
        Route(path, Endpoint(hub, storage_url, threads, handler).answer, methods=[method])
        for method, path, handler in table
    ]
    return _matching_raw_paths(Starlette(routes=routes, exception_handlers=_UNKNOWN))


def storage_app(hub: Hub, transfer: LargeFileTransfer, storage_url: str) -> ASGIApp:
    """Large files and the xet store."""
    table: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
        ("PUT", "/objects/{sha256}", transfer.put_object),
        ("GET", "/objects/{sha256}", transfer.get_object),
        ("PUT", "/objects/{sha256}/parts/{number:int}", transfer.put_part),
        ("POST", "/objects/{sha256}/complete", transfer.complete),
    ]
    if hub.xet is not None:
        xet = XetEndpoints(hub, hub.xet, storage_url)
        table += [
            ("POST", "/xet/{hub_id}/v1/xorbs/default/{xorb}", xet.post_xorb),
            ("POST", "/xet/{hub_id}/v1/shards", xet.post_shard),
            ("GET", "/xet/{hub_id}/v1/reconstructions/{file}", xet.reconstruction),
            ("GET", "/xorbs/{xorb}", xet.get_xorb),
            ("POST", "/v1/telemetry", xet.take_telemetry),
        ]
    routes = [
        Route(path, functools.partial(_answer, handler), methods=[method])
        for method, path, handler in table
    ]
    return _matching_raw_paths(Starlette(routes=routes, exception_handlers=_UNKNOWN))


async def _answer(handler: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    return await answered(handler(request))


async def _unknown(request: Request, _: Exception) -> Response:
    return refusal_response(
        Refusal(404, f"The embedded Hub has no {request.method} {request.url.path}")
    )


_UNKNOWN = {404: _unknown, 405: _unknown}


def _matching_raw_paths(app: ASGIApp) -> ASGIApp:
    async def with_raw_path(scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        await app({**scope, "path": raw}, receive, send)

    return with_raw_path
