"""Calls that move names: tags, branches, and squashing a branch's history."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from release.embedded_hub.call import Call
from release.embedded_hub.errors import Refusal, revision_not_found
from release.embedded_hub.names import check_new_ref_name


def create_tag(call: Call) -> Response:
    """POST /api/{kind}/{id}/tag/{rev} with `tag` and perhaps `message`; 409 if it exists."""
    repository, caller = call.writable_repository()
    wanted = call.json()
    name = check_new_ref_name(str(wanted.get("tag")))
    commit = repository.git.resolve(call.parameters["revision"])
    message = wanted.get("message")
    with repository.git.lock:
        if repository.git.ref(f"refs/tags/{name}") is not None:
            raise Refusal(409, f"Tag reference exists already: {name}")
        repository.git.add_tag(name, commit, message=message, author=caller.name)
    return JSONResponse({})


def delete_tag(call: Call) -> Response:
    """DELETE /api/{kind}/{id}/tag/{tag}."""
    repository, _ = call.writable_repository()
    name = call.parameters["revision"]
    with repository.git.lock:
        if name not in repository.git.refs("refs/tags/"):
            raise revision_not_found(name)
        repository.git.delete_ref(f"refs/tags/{name}")
    return JSONResponse({})


def create_branch(call: Call) -> Response:
    """POST /api/{kind}/{id}/branch/{name} with perhaps `startingPoint`; 409 if it exists."""
    repository, _ = call.writable_repository()
    name = check_new_ref_name(call.parameters["branch"])
    commit = repository.git.resolve(str(call.json().get("startingPoint") or "main"))
    with repository.git.lock:
        if repository.git.ref(f"refs/heads/{name}") is not None:
            raise Refusal(409, f"Reference already exists: refs/heads/{name}")
        repository.git.set_ref(f"refs/heads/{name}", commit, expected=None)
    return JSONResponse({})


def delete_branch(call: Call) -> Response:
    """DELETE /api/{kind}/{id}/branch/{name}; `main` stays."""
    repository, _ = call.writable_repository()
    name = call.parameters["branch"]
    if name == "main":
        raise Refusal(403, "The branch main cannot be deleted")
    with repository.git.lock:
        if name not in repository.git.refs("refs/heads/"):
            raise revision_not_found(name)
        repository.git.delete_ref(f"refs/heads/{name}")
    return JSONResponse({})


def super_squash(call: Call) -> Response:
    """POST /api/{kind}/{id}/super-squash/{branch}: one commit without parents, the same files."""
    repository, caller = call.writable_repository()
    git, branch = repository.git, call.parameters["branch"]
    with git.lock:
        head = git.refs("refs/heads/").get(branch)
        if head is None:
            raise revision_not_found(branch)
        files = {path: file.oid for path, file in git.snapshot(head).files.items()}
        title = str(call.json().get("message") or "Super-squash")
        commit = git.write_commit(files, parents=(), title=title, author=caller.name)
        git.set_ref(f"refs/heads/{branch}", commit, expected=head)
    return JSONResponse({})
