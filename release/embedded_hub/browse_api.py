"""Calls that look into a repository: tree, paths-info, commits, refs."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response

from release.embedded_hub.call import Call
from release.embedded_hub.errors import Refusal, entry_not_found
from release.embedded_hub.listing import (
    add_last_commits,
    commit_entry,
    entries_below,
    folder_entry,
    tree_entry,
)

_TREE_PAGE = 1000
_EXPANDED_TREE_PAGE = 50
_COMMITS_PAGE = 50
_MAX_PATHS = 1000


def tree(call: Call) -> Response:
    """GET /api/{kind}/{id}/tree/{rev}[/{path}]?recursive=&expand=."""
    git = call.repository().git
    commit = git.resolve(call.parameters["revision"])
    snapshot = git.snapshot(commit)
    folder = call.parameters.get("path", "").strip("/")
    if folder and folder not in snapshot.folders:
        raise entry_not_found(folder, commit)
    entries = entries_below(snapshot, folder, recursive=call.flag("recursive"), xet=call.hub.xet)
    if not call.flag("expand"):
        return call.page_of(entries, _TREE_PAGE)
    add_last_commits(git, commit, entries)
    return call.page_of(entries, _EXPANDED_TREE_PAGE)


def paths_info(call: Call) -> Response:
    """POST /api/{kind}/{id}/paths-info/{rev}, form or JSON; unknown paths are left out."""
    git = call.repository().git
    commit = git.resolve(call.parameters["revision"])
    snapshot = git.snapshot(commit)
    if call.headers.get("content-type", "").startswith("application/json"):
        wanted = call.json()
        paths = [str(path) for path in wanted.get("paths", [])]
        expand = bool(wanted.get("expand"))
    else:
        form = parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True)
        paths = [value for key, value in form if key == "paths"]
        expand = ("expand", "true") in [(key, value.lower()) for key, value in form]
    if len(paths) > _MAX_PATHS:
        raise Refusal(413, "too many parameters")
    entries = []
    for path in dict.fromkeys(path.strip("/") for path in paths):
        if path in snapshot.files:
            entries.append(tree_entry(snapshot.files[path], call.hub.xet))
        elif path in snapshot.folders:
            entries.append(folder_entry(path, snapshot.folders[path]))
    if expand:
        add_last_commits(git, commit, entries)
    return JSONResponse(entries)


def commits(call: Call) -> Response:
    """GET /api/{kind}/{id}/commits/{rev}, newest first, by pages."""
    git = call.repository().git
    commit = git.resolve(call.parameters["revision"])
    return call.page_of([commit_entry(record) for record in git.history(commit)], _COMMITS_PAGE)


def refs(call: Call) -> Response:
    """GET /api/{kind}/{id}/refs[?include_prs=1]."""
    repository = call.repository()

    def listed(prefix: str) -> list[dict[str, str]]:
        found = repository.git.refs(prefix).items()
        return [
            {"name": name, "ref": f"{prefix}{name}", "targetCommit": commit}
            for name, commit in found
        ]

    answer = {
        "branches": listed("refs/heads/"),
        "converts": [],
        "tags": listed("refs/tags/"),
    }
    if call.flag("include_prs"):
        numbers = {str(known["num"]) for known in repository.discussions}
        answer["pullRequests"] = [pr for pr in listed("refs/pr/") if pr["name"] in numbers]
    return JSONResponse(answer)
