"""Calls that change files: preupload and commit."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from starlette.responses import JSONResponse, Response

from release.embedded_hub.call import Call
from release.embedded_hub.commit import parse_commit_request, write_commit
from release.embedded_hub.discussions import next_number, open_pull_request
from release.embedded_hub.errors import Refusal, revision_not_found
from release.embedded_hub.git_store import GitStore, Snapshot
from release.embedded_hub.names import check_path_in_repo, pull_request_number
from release.embedded_hub.repositories import Repository
from release.embedded_hub.upload_rules import UploadRules
from release.embedded_hub.xet_api import size_of_object

_MAX_FILES = 256


def preupload(call: Call) -> Response:
    """POST /api/{kind}/{id}/preupload/{rev}: how each file must be sent, and what is there now."""
    repository, _ = call.writable_repository()
    git, wanted = repository.git, call.json()
    snapshot = git.snapshot(git.resolve(call.parameters["revision"]))
    files = wanted.get("files")
    if not isinstance(files, list) or len(files) > _MAX_FILES:
        raise Refusal(400, f"files must be a list of at most {_MAX_FILES}")
    given = wanted.get("gitIgnore")
    rules = UploadRules(
        gitattributes=_small_file(git, snapshot, ".gitattributes"),
        gitignore=str(given).encode() if given else _small_file(git, snapshot, ".gitignore"),
    )
    return JSONResponse({"files": [_upload_mode(rules, snapshot, file) for file in files]})


def _small_file(git: GitStore, snapshot: Snapshot, path: str) -> bytes:
    file = snapshot.files.get(path)
    return git.blob(file.oid) if file and not file.pointer else b""


def _upload_mode(rules: UploadRules, snapshot: Snapshot, file: Any) -> dict[str, Any]:
    if not isinstance(file, dict) or not isinstance(file.get("size"), int):
        raise Refusal(400, "Each file needs path, sample and size")
    path = check_path_in_repo(file.get("path"))
    try:
        sample = base64.b64decode(str(file.get("sample", "")), validate=True)
    except binascii.Error as error:
        raise Refusal(400, f"{path}: sample is not base64") from error
    large = rules.is_large(path, size_bytes=file["size"], sample=sample)
    answer: dict[str, Any] = {
        "path": path,
        "uploadMode": "lfs" if large else "regular",
        "shouldIgnore": rules.is_ignored(path),
    }
    if (current := snapshot.files.get(path)) is not None:
        answer["oid"] = current.pointer.sha256 if current.pointer else current.oid
    return answer


def commit(call: Call) -> Response:
    """POST /api/{kind}/{id}/commit/{rev}[?create_pr=1]."""
    repository, caller = call.writable_repository()
    request = parse_commit_request(call.body)
    git, revision = repository.git, call.parameters["revision"]
    create_pr = call.flag("create_pr")
    target = _ref_to_commit_to(repository, revision)
    sizes = {
        sha256: size_of_object(call, sha256)
        for operation in request.operations
        if (sha256 := getattr(operation, "sha256", None)) is not None
    }
    with git.lock:
        base = git.ref(target)
        if base is None:
            raise revision_not_found(revision)
        number = next_number(repository) if create_pr else None
        oid = write_commit(
            git,
            request,
            base=base,
            target_ref=target if number is None else f"refs/pr/{number}",
            author=caller.name,
            size_of_object=sizes.get,
        )
        if number is not None:
            open_pull_request(
                repository,
                number=number,
                title=request.summary,
                description=request.description,
                author=caller.name,
                base=base,
                commit=git.record(oid),
            )
    url = call.repository_url(repository)
    answer = {
        "success": True,
        "commitOid": oid,
        "commitUrl": f"{url}/commit/{oid}",
        "hookOutput": "",
    }
    if number is not None:
        answer["pullRequestUrl"] = f"{url}/discussions/{number}"
    return JSONResponse(answer)


def _ref_to_commit_to(repository: Repository, revision: str) -> str:
    """The full name of an existing branch or pull request; tags and commits stay as they are."""
    if pull_request_number(revision) is not None:
        ref = revision
    else:
        ref = f"refs/heads/{revision.removeprefix('refs/heads/')}"
    if ref not in {f"refs/{name}" for name in repository.git.refs("refs/")}:
        raise revision_not_found(revision)
    return ref
