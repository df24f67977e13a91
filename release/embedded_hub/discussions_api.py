"""Calls about discussions and pull requests."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from release.embedded_hub import discussions
from release.embedded_hub.accounts import Caller
from release.embedded_hub.call import Call
from release.embedded_hub.errors import Refusal
from release.embedded_hub.repositories import Repository

_PAGE = 10


def list_discussions(call: Call) -> Response:
    """GET .../discussions?type=&status=&author=&p=, the newest first."""
    repository = call.repository()
    kind, status, author = call.one("type"), call.one("status"), call.one("author")
    found = [
        discussions.summary(repository, record)
        for record in reversed(repository.discussions)
        if kind in {"", "all"} or record["isPullRequest"] == (kind == "pull_request")
    ]
    if status in {"open", "closed"}:
        is_open = status == "open"
        found = [each for each in found if (each["status"] in {"open", "draft"}) == is_open]
    if author:
        found = [each for each in found if each["author"]["name"] == author]
    page = call.one("p", "0")
    start = _PAGE * (int(page) if page.isdecimal() else 0)
    answer = {"discussions": found[start : start + _PAGE], "count": len(found), "start": start}
    return JSONResponse(answer)


def create_discussion(call: Call) -> Response:
    """POST .../discussions with `title`, `description` and `pullRequest`."""
    repository, caller = _participant(call)
    wanted = call.json()
    title = _text(wanted, "title")
    if not 3 <= len(title) <= 200:
        raise Refusal(400, "The title must have 3 to 200 characters")
    git = repository.git
    with git.lock:
        number = discussions.next_number(repository)
        facts: dict[str, Any] = {
            "number": number,
            "title": title,
            "description": str(wanted.get("description") or ""),
            "author": caller.name,
        }
        if wanted.get("pullRequest"):
            base = git.resolve("refs/heads/main")
            git.set_ref(f"refs/pr/{number}", base, expected=None)
            record = discussions.open_pull_request(repository, base=base, **facts)
        else:
            record = discussions.open_discussion(repository, **facts)
    return JSONResponse({"num": record["num"], "pullRequest": record["isPullRequest"]})


def get_discussion(call: Call) -> Response:
    """GET .../discussions/{number}[?diff=1]."""
    repository = call.repository()
    record = discussions.find(repository, call.parameters["number"])
    return JSONResponse(discussions.details(repository, record, with_diff=call.flag("diff")))


def comment(call: Call) -> Response:
    """POST .../discussions/{number}/comment."""
    repository, caller = _participant(call)
    text = _text(call.json(), "comment")
    with repository.git.lock:
        record = discussions.find(repository, call.parameters["number"])
        event = discussions.comment_event(caller.name, text)
        record["events"].append(event)
        repository.save()
    return JSONResponse({"newMessage": event})


def rename(call: Call) -> Response:
    """POST .../discussions/{number}/title."""
    repository, caller = _participant(call)
    title = _text(call.json(), "title")
    with repository.git.lock:
        record = discussions.find(repository, call.parameters["number"])
        event = discussions.title_event(caller.name, record["title"], title)
        record["title"] = title
        record["events"].append(event)
        repository.save()
    return JSONResponse({"newTitle": event})


def change_status(call: Call) -> Response:
    """POST .../discussions/{number}/status: `open` or `closed`, with perhaps a comment."""
    repository, caller = _participant(call)
    wanted = call.json()
    status = wanted.get("status")
    if status not in {"open", "closed"}:
        raise Refusal(400, "status must be open or closed")
    with repository.git.lock:
        record = discussions.find(repository, call.parameters["number"])
        if record["status"] == "merged":
            raise Refusal(400, "A merged pull request cannot be opened or closed")
        _add_comment(record, caller, wanted)
        event = discussions.status_event(caller.name, status)
        record["status"] = status
        record["events"].append(event)
        repository.save()
    return JSONResponse({"newStatus": event})


def merge(call: Call) -> Response:
    """POST .../discussions/{number}/merge: one commit on main with the pull request's changes.

    Refused with 400 for a draft or closed one, with 409 if both sides changed a file.
    """
    repository, caller = call.writable_repository()
    wanted = call.json()
    git = repository.git
    with git.lock:
        record = discussions.find(repository, call.parameters["number"])
        number = record["num"]
        if not record["isPullRequest"] or record["status"] != "open":
            raise Refusal(400, f"{record['status']} cannot be merged: open the pull request first")
        ours, theirs = git.resolve("refs/heads/main"), git.resolve(f"refs/pr/{number}")
        merged = discussions.merge(git, base=record["base"], ours=ours, theirs=theirs)
        if merged.conflicts:
            raise Refusal(409, f"Conflicts in {', '.join(merged.conflicts)}")
        title = f"{record['title']} (#{number})"
        oid = git.write_commit(
            merged.files,
            parents=(ours,),
            title=title,
            message=discussions.merge_message(git, base=record["base"], theirs=theirs),
            author=caller.name,
        )
        git.set_ref("refs/heads/main", oid, expected=ours)
        _add_comment(record, caller, wanted)
        record["events"].append(discussions.status_event(caller.name, "merged"))
        record |= {"status": "merged", "mergeCommitId": oid}
        repository.save()
    return JSONResponse({"mergeCommitId": oid})


def _participant(call: Call) -> tuple[Repository, Caller]:
    """Whoever may see a repository and has a token that writes may take part."""
    repository = call.repository()
    return repository, call.participant(repository)


def _text(wanted: dict[str, Any], key: str) -> str:
    text = wanted.get(key)
    if not isinstance(text, str) or not text.strip():
        raise Refusal(400, f"{key} must not be empty")
    return text.strip()


def _add_comment(record: dict[str, Any], caller: Caller, wanted: dict[str, Any]) -> None:
    if wanted.get("comment"):
        record["events"].append(discussions.comment_event(caller.name, str(wanted["comment"])))
