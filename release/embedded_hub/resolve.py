"""Downloads: `/{id}/resolve/{rev}/{path}`.

Ordinary files are answered here. Large files are a redirect to the second origin: the client
follows redirects within one origin when it asks for metadata, and would then miss the headers.
"""

from __future__ import annotations

import mimetypes
from urllib.parse import quote

from starlette.responses import Response

from release.embedded_hub.call import Call
from release.embedded_hub.errors import Refusal, entry_not_found
from release.embedded_hub.git_store import FileEntry
from release.embedded_hub.names import PLURALS
from release.embedded_hub.pointers import Pointer
from release.embedded_hub.repositories import Repository
from release.embedded_hub.repository_api import refuse_gated


def resolve(call: Call) -> Response:
    """GET or HEAD /[datasets/|spaces/]{id}/resolve/{rev}/{path}."""
    repository = call.repository()
    refuse_gated(call, repository)
    git = repository.git
    commit = git.resolve(call.parameters["revision"])
    path = call.parameters["path"]
    file = git.snapshot(commit).files.get(path)
    if file is None:
        raise entry_not_found(path, commit)
    headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
    if file.pointer is not None:
        return _redirect(call, repository, file.oid, file.pointer, headers)
    return _content(call, file, git.blob(file.oid), headers)


def _redirect(
    call: Call, repository: Repository, oid: str, pointer: Pointer, headers: dict[str, str]
) -> Response:
    sha256 = pointer.sha256
    link = f"{call.storage_url}/objects/{sha256}?{call.hub.links.query('download', sha256)}"
    headers |= {
        "Location": link,
        "X-Linked-Etag": f'"{sha256}"',
        "X-Linked-Size": str(pointer.size_bytes),
        "ETag": f'"{oid}"',
    }
    known = call.hub.xet.of_sha256(sha256) if call.hub.xet else None
    if known is not None:
        plural = PLURALS[repository.kind]
        route = f"{call.base_url}/api/{plural}/{repository.repo_id}/xet-read-token"
        headers |= {
            "X-Xet-Hash": known.xet_hash,
            "Link": f'<{route}/{headers["X-Repo-Commit"]}>; rel="xet-auth"',
        }
    return Response(status_code=302, headers=headers)


def _content(call: Call, file: FileEntry, content: bytes, headers: dict[str, str]) -> Response:
    headers |= {
        "ETag": f'"{file.oid}"',
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(file.path.rpartition('/')[2])}",
    }
    media_type = mimetypes.guess_type(file.path)[0] or "text/plain"
    wanted = _byte_range(call.headers.get("range"), len(content))
    if wanted is None:
        return Response(content, headers=headers, media_type=media_type)
    start, end = wanted
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
    return Response(content[start:end], status_code=206, headers=headers, media_type=media_type)


def _byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Start and end (not included) of a `Range: bytes=` header; None for the whole file.

    Several ranges in one header are answered with the whole file, as RFC 9110 allows.

    Raises:
        Refusal: 416, the range starts after the last byte.
    """
    unit, _, text = (header or "").partition("=")
    first, dash, last = text.strip().partition("-")
    if unit.strip() != "bytes" or not dash or not (first + last).isdecimal():
        return None
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
    else:
        start, end = max(0, size - int(last)), size
    if start >= size or start >= end:
        raise Refusal(
            416, "Requested range not satisfiable", headers={"Content-Range": f"bytes */{size}"}
        )
    return start, end
