"""A TARGET becomes a build on this machine: the one that is there, else the Hub's copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from manifests.errors import UsageError
from manifests.progress import Silent
from release.embedded_hub import EmbeddedHub
from release.local_build import LocalBuild, local_build

FILES = {"a/cfg.json": b"{}", "a/sae_weights.safetensors": bytes(range(256)), "notes.txt": b"# x\n"}


@pytest.fixture
def found_in(project: Any, tmp_path: Path) -> Callable[..., LocalBuild]:
    project.content["repo_id"] = "researcher/saes"
    project.load()

    def find(text: str, hub: str | None = None) -> LocalBuild:
        return local_build(
            text,
            manifests=project.path.parent,
            build_root=tmp_path / "build",
            hub=hub,
            is_large_wanted=False,
            progress=Silent(),
        )

    return find


def published(hub: EmbeddedHub, files: dict[str, bytes]) -> str:
    """A commit of the files; its oid."""
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    repo_id = f"{hub.user}/saes"
    assert repo_id == "researcher/saes", "the name that the manifest states"
    api.create_repo(repo_id, exist_ok=True)
    for path, content in files.items():
        oid = api.upload_file(repo_id=repo_id, path_in_repo=path, path_or_fileobj=content).oid
    return str(oid)


def contents(folder: Path) -> dict[str, bytes]:
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != ".gitattributes"}


def test_a_local_build_is_taken_as_it_lies(
    found_in: Callable[..., LocalBuild], project: Any, tmp_path: Path
) -> None:
    own = tmp_path / "build" / project.path.stem / "repository"
    own.mkdir(parents=True)
    for text in (str(project.path), "researcher/saes"):
        # No Hub is asked: there is none at this address.
        found = found_in(text, hub="http://127.0.0.1:9")
        assert found.build.repository == own
        assert found.loaded.manifest.repo_id == "researcher/saes"


def test_the_hubs_head_or_revision_is_fetched_where_there_is_no_build(
    found_in: Callable[..., LocalBuild], project: Any, tmp_path: Path
) -> None:
    with EmbeddedHub(tmp_path / "hub") as hub:
        first = published(hub, FILES)
        published(hub, {"notes.txt": b"# later\n"})
        head = found_in("researcher/saes", hub=hub.endpoint).build
        assert contents(head.repository) == FILES | {"notes.txt": b"# later\n"}
        assert head.root.name == project.path.stem
        former = found_in(f"researcher/saes@{first}", hub=hub.endpoint).build
        assert contents(former.repository) == FILES
        assert former.root.name == f"{project.path.stem}@{first}"
    # Fetched once: the Hub is gone, and the build is there.
    assert found_in(str(project.path), hub="http://127.0.0.1:9").build == head


def test_a_folder_and_an_unknown_repository_are_refused_with_what_to_do(
    found_in: Callable[..., LocalBuild], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="which data") as caught:
        found_in(str(tmp_path))
    assert "release import" in str(caught.value)
    with pytest.raises(UsageError, match="no manifest") as caught:
        found_in("somebody/else")
    assert "release import somebody/else" in str(caught.value)
