"""The xet protocol: tokens on the API's origin, the content-addressed store on the second one.

The store speaks HTTP, as the real one does. hf_xet would also accept `local:///folder`, but then
each client process locks the folder's index for as long as it lives, so that a second process, or
this server, could not read what the first one wrote.

The path of the store names this root (`/xet/{hub_id}`), because hf_xet remembers per URL which
chunks a store has; without it, another root on the same port would be sent references to chunks
that it never got.
"""

from __future__ import annotations

import functools
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from release.embedded_hub.call import Call
from release.embedded_hub.errors import Refusal
from release.embedded_hub.hub import Hub
from release.embedded_hub.names import is_sha256
from release.embedded_hub.xet_store import XetFile, XetStore


def write_token(call: Call) -> Response:
    """GET /api/{kind}/{id}/xet-write-token/{rev}."""
    call.writable_repository()
    return _token(call, "write")


def read_token(call: Call) -> Response:
    """GET /api/{kind}/{id}/xet-read-token/{rev}."""
    call.repository()
    return _token(call, "read")


def _token(call: Call, scope: str) -> Response:
    if call.hub.xet is None:
        raise Refusal(404, "This embedded Hub does not offer xet")
    token, expires = call.hub.links.bearer("xet", scope)
    url = _store_url(call)
    return JSONResponse(
        {"casUrl": url, "accessToken": token, "exp": expires},
        headers={
            "X-Xet-Cas-Url": url,
            "X-Xet-Access-Token": token,
            "X-Xet-Token-Expiration": str(expires),
        },
    )


def _store_url(call: Call) -> str:
    return f"{call.storage_url}/xet/{call.hub.accounts.hub_id}"


def size_of_object(call: Call, sha256: str) -> int | None:
    """The size of a large file, None if it was never uploaded.

    A file that came through xet is put together by hf_xet and its digest checked, once, so that
    it can also be downloaded without xet.

    Raises:
        Refusal: 400, the chunks uploaded for this digest give another content.
    """
    objects, store = call.hub.objects, call.hub.xet
    size = objects.size_bytes(sha256)
    if size is not None or store is None or (file := store.of_sha256(sha256)) is None:
        return size
    _rebuild(call, file, sha256)
    return file.size_bytes


@functools.cache
def _xet_session() -> Any:
    import hf_xet  # a compiled module with its own runtime threads: only those who need it load it

    return hf_xet.XetSession(hf_xet.XetConfig().with_config("telemetry.enabled", False))


def _rebuild(call: Call, file: XetFile, sha256: str) -> None:
    import hf_xet

    token, expires = call.hub.links.bearer("xet", "read")
    group = _xet_session().new_download_stream_group(
        endpoint=_store_url(call), token=token, token_expiry_unix_secs=expires
    )
    incoming = call.hub.objects.receive()
    try:
        for chunk in group.download_stream(hf_xet.XetFileInfo(file.xet_hash, file.size_bytes)):
            incoming.write(chunk)
    except BaseException:
        incoming.discard()
        raise
    incoming.keep_as(sha256)


class XetEndpoints:
    """The store's own calls, on the second origin."""

    def __init__(self, hub: Hub, store: XetStore, storage_url: str) -> None:
        self._hub = hub
        self._store = store
        self._storage_url = storage_url

    def _check(self, request: Request, *scopes: str) -> None:
        if request.path_params["hub_id"] != self._hub.accounts.hub_id:
            raise Refusal(404, "No such store")
        authorization = request.headers.get("authorization")
        for scope in scopes[:-1]:
            try:
                self._hub.links.check_bearer("xet", scope, authorization)
            except Refusal:
                continue
            return
        self._hub.links.check_bearer("xet", scopes[-1], authorization)

    async def post_xorb(self, request: Request) -> Response:
        """POST /xet/{hub_id}/v1/xorbs/default/{xorb}."""
        self._check(request, "write")
        added = self._store.add_xorb(request.path_params["xorb"], await request.body())
        return JSONResponse({"was_inserted": added})

    async def post_shard(self, request: Request) -> Response:
        """POST /xet/{hub_id}/v1/shards."""
        self._check(request, "write")
        self._store.add_shard(await request.body())
        return JSONResponse({"result": 1})

    async def reconstruction(self, request: Request) -> Response:
        """GET /xet/{hub_id}/v1/reconstructions/{file}, for the bytes of a Range header."""
        self._check(request, "read", "write")
        start, end = _inclusive_range(request.headers.get("range"))

        def url_of(xorb: str) -> str:
            query = self._hub.links.query("xorb", xorb)
            return f"{self._storage_url}/xorbs/{xorb}?{query}"

        return JSONResponse(
            self._store.reconstruction(
                request.path_params["file"], start=start, end=end, url_of=url_of
            )
        )

    async def take_telemetry(self, request: Request) -> Response:
        """POST /v1/telemetry: what hf_xet reports about its transfers is thrown away."""
        await request.body()
        return Response(status_code=204)

    async def get_xorb(self, request: Request) -> Response:
        """GET /xorbs/{xorb}, Range included, with a link that carries its permission."""
        xorb, query = request.path_params["xorb"], request.query_params
        self._hub.links.check(
            "xorb", xorb, expires=query.get("expires", ""), signature=query.get("signature", "")
        )
        path = self._store.xorb_path(xorb)
        if not path.is_file():
            raise Refusal(404, f"No xorb {xorb}")
        return FileResponse(path, media_type="application/octet-stream")


def _inclusive_range(header: str | None) -> tuple[int, int | None]:
    first, _, last = (header or "").removeprefix("bytes=").partition("-")
    start = int(first) if first.isdecimal() else 0
    return start, int(last) if last.isdecimal() else None


def duplicate(call: Call) -> Response:
    """POST /api/{kind}/{id}/lfs-files/duplicate: all repositories share their objects already."""
    call.repository()
    failed = [
        {"sha256": file.get("sha256"), "error": "not found"}
        for file in call.json().get("files", [])
        if not is_sha256(file.get("sha256")) or size_of_object(call, file["sha256"]) is None
    ]
    return JSONResponse({"failed": failed})
