"""Downloads and listings, as huggingface_hub asks for them (also run against the real Hub)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import CommitOperationAdd, hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError
from safetensors.numpy import save

WEIGHTS = save({"W_enc": np.arange(60_000, dtype=np.float32).reshape(100, 600)})


@pytest.fixture
def filled(target, repo):
    target.api.create_commit(
        repo,
        [
            CommitOperationAdd("README.md", b"---\nlicense: mit\n---\n# SAE\n"),
            CommitOperationAdd("layer_3/cfg.json", b'{"d_in": 100}'),
            CommitOperationAdd("layer_3/sae_weights.safetensors", WEIGHTS),
        ],
        commit_message="release",
    )
    return repo


def download(target, repo, path, cache, **options):
    return Path(
        hf_hub_download(
            repo, path, endpoint=target.endpoint, token=target.token, cache_dir=cache, **options
        )
    )


@pytest.mark.parametrize(
    ("path", "content"),
    [("layer_3/cfg.json", b'{"d_in": 100}'), ("layer_3/sae_weights.safetensors", WEIGHTS)],
)
def test_a_download_has_the_bytes_of_the_upload(target, filled, tmp_path, path, content):
    assert download(target, filled, path, tmp_path).read_bytes() == content


def test_a_snapshot_holds_every_file(target, filled, tmp_path):
    head = target.api.model_info(filled).sha
    folder = Path(
        snapshot_download(
            filled,
            endpoint=target.endpoint,
            token=target.token,
            cache_dir=tmp_path,
            revision=head,
        )
    )
    assert folder.name == head
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert names == {
        ".gitattributes",
        "README.md",
        "layer_3/cfg.json",
        "layer_3/sae_weights.safetensors",
    }


def test_an_old_commit_can_still_be_downloaded(target, filled, tmp_path):
    first = target.api.model_info(filled).sha
    target.api.upload_file(
        path_or_fileobj=b"changed", path_in_repo="layer_3/cfg.json", repo_id=filled
    )
    old = download(target, filled, "layer_3/cfg.json", tmp_path, revision=first)
    assert old.read_bytes() == b'{"d_in": 100}'
    assert download(target, filled, "layer_3/cfg.json", tmp_path).read_bytes() == b"changed"


def test_a_missing_file_is_named_as_such(target, filled, tmp_path):
    with pytest.raises(EntryNotFoundError):
        download(target, filled, "layer_4/cfg.json", tmp_path)
    assert not target.api.file_exists(filled, "layer_4/cfg.json")
    assert target.api.file_exists(filled, "layer_3/cfg.json")


def test_a_safetensors_header_is_read_by_range(target, filled):
    found = target.api.parse_safetensors_file_metadata(filled, "layer_3/sae_weights.safetensors")
    assert found.tensors["W_enc"].shape == [100, 600]


def test_the_tree_lists_one_level_or_all(target, filled):
    api = target.api
    top = {entry.path for entry in api.list_repo_tree(filled)}
    assert top == {".gitattributes", "README.md", "layer_3"}
    below = {entry.path for entry in api.list_repo_tree(filled, "layer_3")}
    assert below == {"layer_3/cfg.json", "layer_3/sae_weights.safetensors"}
    everything = {entry.path for entry in api.list_repo_tree(filled, recursive=True)}
    assert everything == top | below


def test_the_tree_of_a_missing_folder_is_not_found(target, filled):
    with pytest.raises(EntryNotFoundError):
        list(target.api.list_repo_tree(filled, "layer_4"))


def test_an_expanded_tree_names_the_last_commit_of_each_file(target, filled):
    target.api.upload_file(
        path_or_fileobj=b"{}", path_in_repo="layer_3/cfg.json", repo_id=filled, commit_message="fix"
    )
    entries = target.api.list_repo_tree(filled, recursive=True, expand=True)
    titles = {entry.path: entry.last_commit.title for entry in entries}
    assert titles["layer_3/cfg.json"] == titles["layer_3"] == "fix"
    assert titles["README.md"] == "release"
    assert titles[".gitattributes"] == "initial commit"


def test_siblings_carry_sizes_and_digests_when_asked(target, filled):
    info = target.api.model_info(filled, files_metadata=True)
    by_name = {sibling.rfilename: sibling for sibling in info.siblings}
    assert by_name["layer_3/sae_weights.safetensors"].lfs.size == len(WEIGHTS)
    assert by_name["layer_3/cfg.json"].size == 13


def test_a_long_listing_comes_in_pages(target, repo):
    target.api.create_commit(
        repo,
        [CommitOperationAdd(f"f/{number:04d}.txt", b"x") for number in range(1005)],
        commit_message="many",
    )
    assert len(list(target.api.list_repo_tree(repo, "f"))) == 1005


def test_checksums_of_a_download_can_be_verified(target, filled, tmp_path):
    snapshot_download(
        filled, endpoint=target.endpoint, token=target.token, local_dir=tmp_path / "here"
    )
    found = target.api.verify_repo_checksums(filled, local_dir=tmp_path / "here")
    assert not found.mismatches


def test_a_large_random_file_survives(target, repo, tmp_path):
    content = os.urandom(3_000_000)
    target.api.upload_file(path_or_fileobj=content, path_in_repo="w.safetensors", repo_id=repo)
    assert download(target, repo, "w.safetensors", tmp_path).read_bytes() == content
