"""A Hub on loopback for the tests of publishing, and repositories of their own on it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd

from release.embedded_hub import EmbeddedHub
from release.hub_connection import HubConnection
from release.publishing.plan import PlannedFile, RepositoryPlan

# hf_xet reads it when it is first used; by default it waits 3 s and more before each new try.
os.environ["HF_XET_CLIENT_RETRY_BASE_DELAY"] = "1ms"


@pytest.fixture(scope="session")
def running_hub(tmp_path_factory):
    with EmbeddedHub(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture
def connection(running_hub) -> HubConnection:
    running_hub.clear_faults()
    return HubConnection(running_hub.endpoint, running_hub.token)


@pytest.fixture
def repo_id(request) -> str:
    """A name of the test's own, so that tests share one server."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return f"demo/{words[-90:].strip('-')}"


@pytest.fixture
def commit(connection, repo_id):
    """Commit files, by path, and return the new head's oid."""

    def made(**files: bytes) -> str:
        api = connection.api()
        api.create_repo(repo_id, exist_ok=True)
        operations = [
            CommitOperationAdd(path.replace("__", "/"), content) for path, content in files.items()
        ]
        return str(api.create_commit(repo_id, operations, commit_message="made").oid)

    return made


@pytest.fixture
def repository_plan():
    """`repository_plan(repo_id, adds, ...)`: the plan of a repository that does not exist yet."""

    def made(repo_id: str, adds: Sequence[PlannedFile], **how: Any) -> RepositoryPlan:
        nothing = RepositoryPlan(
            manifest="m.yaml",
            manifest_digest="0" * 64,
            repo_id=repo_id,
            parent=None,
            is_private=None,
            cards_only=False,
            adds=tuple(adds),
            changes=(),
            deletes=(),
            leftovers=(),
            unknown=(),
            unchanged=(),
        )
        return replace(nothing, **how)

    return made
