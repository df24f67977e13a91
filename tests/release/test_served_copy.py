"""A folder is served as the head of a repository, without a copy of its weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from manifests.digests import bytes_sha256
from release.embedded_hub import EmbeddedHub
from release.hub_connection import HubConnection
from release.served_copy import HubServing, served_copy
from validators.reading.hub_repository import HubRepository
from validators.reading.local_repository import LocalRepository

FILES = {
    "README.md": b"---\nlicense: mit\n---\n# SAEs\n",
    "a/cfg.json": b"{}",
    "a/sae_weights.safetensors": bytes(range(256)) * 100,
    "b c/sae_weights.safetensors": bytes(range(256)) * 100,
    "large.txt": b"x" * (10 * 2**20 + 1),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "folder"
    for path, content in FILES.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return root


def test_the_head_holds_the_files_that_were_asked_for(folder: Path, tmp_path: Path) -> None:
    paths = [path for path in FILES if path != "a/cfg.json"]
    with served_copy(LocalRepository(folder), repo_id="some/one", paths=paths) as served:
        assert served.is_copy
        there = HubRepository("some/one", endpoint=served.endpoint, token=False, cache_dir=tmp_path)
        assert {*there.files} - {".gitattributes"} == {*paths}
        for path in paths:
            assert there.fetch(path).read_bytes() == FILES[path]
        weights = "a/sae_weights.safetensors"
        assert there.sha256(weights) == bytes_sha256(FILES[weights])
    assert {p.relative_to(folder).as_posix(): p.read_bytes()
            for p in folder.rglob("*") if p.is_file()} == FILES  # fmt: skip


def test_weights_are_linked_where_the_file_system_can(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = folder / "a/sae_weights.safetensors"
    # Two files of the same content are one object.
    with served_copy(LocalRepository(folder), repo_id="some/one", paths=FILES):
        assert weights.stat().st_nlink == 2
    assert weights.stat().st_nlink == 1

    def refuse(*_: Any) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    with served_copy(LocalRepository(folder), repo_id="some/one", paths=FILES) as served:
        assert weights.stat().st_nlink == 1
        api = HfApi(endpoint=served.endpoint, token=False)
        assert api.file_exists("some/one", "a/sae_weights.safetensors")


def test_only_the_public_head_is_loaded_from_where_it_lies(folder: Path, tmp_path: Path) -> None:
    with EmbeddedHub(tmp_path / "hub") as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        repo_id = f"{hub.user}/saes"
        api.create_repo(repo_id)
        first = api.upload_folder(
            repo_id=repo_id, folder_path=folder, ignore_patterns="large.txt"
        ).oid
        serving = HubServing(HubConnection(hub.endpoint, hub.token))

        def opened(revision: str | None) -> HubRepository:
            return HubRepository(
                repo_id, revision=revision, endpoint=hub.endpoint, token=hub.token,
                cache_dir=tmp_path / "cache",
            )  # fmt: skip

        head = opened(None)
        with serving(head, repo_id=repo_id, paths=["a/cfg.json"]) as served:
            assert (served.endpoint, served.is_copy) == (hub.endpoint, False)
            assert served.cache_dir == tmp_path / "cache"
        api.upload_file(repo_id=repo_id, path_or_fileobj=b"{1}", path_in_repo="a/cfg.json")
        for repository, expected in ((opened(first), b"{}"), (opened(None), b"{1}")):
            with serving(repository, repo_id=repo_id, paths=["a/cfg.json"]) as served:
                assert served.is_copy == (expected == b"{}")
                there = HubRepository(repo_id, endpoint=served.endpoint, token=False)
                assert there.read_text("a/cfg.json").encode() == expected
        api.update_repo_settings(repo_id, visibility="private")
        with serving(opened(None), repo_id=repo_id, paths=["a/cfg.json"]) as served:
            assert served.is_copy, "a copy needs no token"
        assert hub.token not in repr(served)
