"""The Git LFS protocol: what to upload, and the upload itself, whole or in parts.

Source: https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md, with the Hub's multipart
extension (huggingface_hub/lfs.py). Uploads and downloads happen on the second origin, with links
that carry their permission.
"""

from __future__ import annotations

import math
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from release.embedded_hub.call import Call
from release.embedded_hub.errors import Refusal
from release.embedded_hub.hub import Hub
from release.embedded_hub.names import is_sha256

MULTIPART_FROM_BYTES = 64 * 2**20
PART_SIZE_BYTES = 16 * 2**20


class LargeFileTransfer:
    """The LFS calls; objects of `multipart_from_bytes` and more are sent in parts."""

    def __init__(self, hub: Hub, *, multipart_from_bytes: int, part_size_bytes: int) -> None:
        self._hub = hub
        self._multipart_from_bytes = multipart_from_bytes
        self._part_size_bytes = part_size_bytes

    def batch(self, call: Call) -> Response:
        """POST /{id}.git/info/lfs/objects/batch: how to upload (or download) each object."""
        wanted = call.json()
        uploading = wanted.get("operation") == "upload"
        if uploading:
            call.writable_repository()
        else:
            call.repository()
        if wanted.get("hash_algo", "sha256") != "sha256":
            raise Refusal(400, "Only sha256 object ids are known")
        transfers = wanted.get("transfers") or ["basic"]
        objects = [
            self._upload(call, item, multipart="multipart" in transfers)
            if uploading
            else self._download(call, item)
            for item in _objects(wanted)
        ]
        multipart = any("chunk_size" in _upload_header(item) for item in objects)
        answer = {"transfer": "multipart" if multipart else "basic", "objects": objects}
        return JSONResponse(answer, media_type="application/vnd.git-lfs+json")

    def _upload(self, call: Call, item: dict[str, Any], *, multipart: bool) -> dict[str, Any]:
        sha256, size = item["oid"], item["size"]
        answer: dict[str, Any] = {"oid": sha256, "size": size}
        if self._hub.objects.size_bytes(sha256) is not None:
            return answer
        href = f"{call.storage_url}/objects/{sha256}"
        upload: dict[str, Any] = {
            "href": f"{href}?{self._hub.links.query('upload', sha256)}",
            "header": {},
        }
        if multipart and size >= self._multipart_from_bytes:
            numbers = range(1, math.ceil(size / self._part_size_bytes) + 1)
            upload["href"] = f"{href}/complete?{self._hub.links.query('upload', sha256)}"
            upload["header"] = {"chunk_size": str(self._part_size_bytes)} | {
                str(n): f"{href}/parts/{n}?{self._hub.links.query('upload', sha256)}"
                for n in numbers
            }
        verify = f"{call.base_url}{call.path.removesuffix('/objects/batch')}/objects/verify"
        return answer | {"actions": {"upload": upload, "verify": {"href": verify}}}

    def _download(self, call: Call, item: dict[str, Any]) -> dict[str, Any]:
        sha256 = item["oid"]
        if self._hub.objects.size_bytes(sha256) is None:
            return item | {"error": {"code": 404, "message": "Object does not exist"}}
        query = self._hub.links.query("download", sha256)
        return item | {
            "actions": {"download": {"href": f"{call.storage_url}/objects/{sha256}?{query}"}}
        }

    def verify(self, call: Call) -> Response:
        """POST /{id}.git/info/lfs/objects/verify: is the object here, with this size?"""
        call.writable_repository()
        item = _object(call.json())
        if self._hub.objects.size_bytes(item["oid"]) != item["size"]:
            raise Refusal(404, f"Object {item['oid']} is not here with size {item['size']}")
        return JSONResponse({})

    def _check_link(self, request: Request, purpose: str) -> str:
        sha256 = request.path_params["sha256"]
        query = request.query_params
        self._hub.links.check(
            purpose,
            sha256,
            expires=query.get("expires", ""),
            signature=query.get("signature", ""),
        )
        return str(sha256)

    async def put_object(self, request: Request) -> Response:
        """PUT /objects/{sha256} on the second origin."""
        sha256 = self._check_link(request, "upload")
        incoming = self._hub.objects.receive()
        try:
            async for chunk in request.stream():
                incoming.write(chunk)
        except BaseException:
            incoming.discard()
            raise
        incoming.keep_as(sha256)
        return Response()

    async def put_part(self, request: Request) -> Response:
        """PUT /objects/{sha256}/parts/{number} on the second origin."""
        sha256, number = self._check_link(request, "upload"), request.path_params["number"]
        body = await request.body()
        await run_in_threadpool(self._hub.objects.part_path(sha256, number).write_bytes, body)
        return Response(headers={"ETag": f'"{number}-{len(body)}"'})

    async def complete(self, request: Request) -> Response:
        """POST /objects/{sha256}/complete on the second origin: join the parts."""
        sha256 = self._check_link(request, "upload")
        try:
            numbers = [int(part["partNumber"]) for part in (await request.json())["parts"]]
        except (ValueError, KeyError, TypeError) as error:
            raise Refusal(400, "parts must be a list with partNumber and etag") from error
        await run_in_threadpool(self._hub.objects.join, sha256, numbers)
        return JSONResponse({})

    async def get_object(self, request: Request) -> Response:
        """GET or HEAD /objects/{sha256} on the second origin, Range included."""
        sha256 = self._check_link(request, "download")
        path = self._hub.objects.path(sha256)
        if not path.is_file():
            raise Refusal(404, f"No object {sha256}")
        headers = {"ETag": f'"{sha256}"'}
        return FileResponse(path, media_type="application/octet-stream", headers=headers)


def _objects(wanted: dict[str, Any]) -> list[dict[str, Any]]:
    items = wanted.get("objects")
    if not isinstance(items, list):
        raise Refusal(400, "objects must be a list")
    return [_object(item) for item in items]


def _object(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict) or not is_sha256(item.get("oid")):
        raise Refusal(400, "An object needs a sha256 oid")
    size = item.get("size")
    if not isinstance(size, int) or size < 0:
        raise Refusal(400, "An object needs a size")
    return {"oid": item["oid"], "size": size}


def _upload_header(item: dict[str, Any]) -> dict[str, str]:
    return item.get("actions", {}).get("upload", {}).get("header", {})  # type: ignore[no-any-return]
