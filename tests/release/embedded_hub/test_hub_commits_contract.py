"""Commits, as huggingface_hub makes them (also run against the real Hub)."""

from __future__ import annotations

import hashlib
import io
import os

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete
from huggingface_hub.errors import BadRequestError, EntryNotFoundError, HfHubHTTPError


def add(path: str, content: bytes) -> CommitOperationAdd:
    return CommitOperationAdd(path, content)


def commit(target, repo, operations, **options):
    return target.api.create_commit(repo, operations, commit_message="test", **options)


def files(target, repo, revision=None):
    tree = target.api.list_repo_tree(repo, recursive=True, revision=revision)
    return {entry.path: entry for entry in tree if hasattr(entry, "blob_id")}


def test_one_commit_adds_all_files(target, repo):
    before = target.api.model_info(repo).sha
    weights = os.urandom(5000)
    made = commit(target, repo, [add("a/cfg.json", b"{}"), add("a/w.safetensors", weights)])
    assert target.api.model_info(repo).sha == made.oid != before
    history = target.api.list_repo_commits(repo)
    assert [entry.title for entry in history] == ["test", "initial commit"]
    assert made.oid == history[0].commit_id
    found = files(target, repo)
    assert found["a/w.safetensors"].lfs.sha256 == hashlib.sha256(weights).hexdigest()
    assert found["a/w.safetensors"].size == 5000
    assert found["a/cfg.json"].lfs is None


def test_a_stale_parent_is_refused_with_412(target, repo):
    parent = target.api.model_info(repo).sha
    first = commit(target, repo, [add("a.txt", b"1")], parent_commit=parent)
    with pytest.raises(HfHubHTTPError) as caught:
        commit(target, repo, [add("a.txt", b"2")], parent_commit=parent)
    assert caught.value.response.status_code == 412
    assert target.api.model_info(repo).sha == first.oid


def test_a_parent_may_be_abbreviated(target, repo):
    parent = target.api.model_info(repo).sha
    made = commit(target, repo, [add("a.txt", b"1")], parent_commit=parent[:7])
    assert target.api.model_info(repo).sha == made.oid


@pytest.mark.parametrize("path", ["a.txt", "w.safetensors"])
def test_an_unchanged_file_makes_no_commit(target, repo, path):
    first = commit(target, repo, [add(path, b"same content")])
    again = commit(target, repo, [add(path, b"same content")])
    assert again.oid == first.oid
    assert len(target.api.list_repo_commits(repo)) == 2


def test_files_and_folders_can_be_deleted(target, repo):
    commit(target, repo, [add("a/1.txt", b"1"), add("a/b/2.txt", b"2"), add("c.txt", b"3")])
    commit(target, repo, [CommitOperationDelete("a/"), CommitOperationDelete("c.txt")])
    assert set(files(target, repo)) == {".gitattributes"}


def test_deleting_a_missing_file_is_refused(target, repo):
    with pytest.raises(EntryNotFoundError):
        commit(target, repo, [CommitOperationDelete("missing.txt")])


@pytest.mark.parametrize("path", ["a.txt", "w.safetensors"])
def test_a_file_can_be_copied_within_a_repository(target, repo, path):
    commit(target, repo, [add(path, b"content")])
    commit(target, repo, [CommitOperationCopy(path, f"copy/{path}")])
    found = files(target, repo)
    assert found[f"copy/{path}"].blob_id == found[path].blob_id


def test_a_commit_to_an_unknown_branch_is_refused(target, repo):
    with pytest.raises(HfHubHTTPError) as caught:
        commit(target, repo, [add("a.txt", b"1")], revision="no-such-branch")
    assert caught.value.response.status_code == 404


def test_a_file_object_is_uploaded_by_lfs(target, repo):
    content = os.urandom(3000)
    commit(target, repo, [CommitOperationAdd("w.bin", io.BytesIO(content))])
    assert files(target, repo)["w.bin"].lfs.sha256 == hashlib.sha256(content).hexdigest()


def test_an_empty_file_can_be_committed(target, repo):
    commit(target, repo, [add("empty.safetensors", b""), add("empty.txt", b"")])
    assert files(target, repo)["empty.txt"].size == 0


def test_unicode_and_spaces_in_names_survive(target, repo):
    path = "größe/a file #1 (50%).json"
    commit(target, repo, [add(path, b"{}")])
    assert path in files(target, repo)
    found = target.api.get_paths_info(repo, [path, "missing", "größe"])
    assert {entry.path for entry in found} == {path, "größe"}


def test_wrong_metadata_is_refused_before_the_commit(target, repo):
    head = target.api.model_info(repo).sha
    with pytest.raises(ValueError, match="license"):
        commit(target, repo, [add("README.md", b"---\nlicense: my-own\n---\n")])
    assert target.api.model_info(repo).sha == head


def test_a_card_without_metadata_only_gets_a_warning(target, repo):
    with pytest.warns(UserWarning, match="metadata"):
        commit(target, repo, [add("README.md", b"# No metadata\n")])
    assert "README.md" in files(target, repo)


def test_a_file_in_place_of_a_folder_is_refused(target, repo):
    commit(target, repo, [add("a/b.txt", b"1")])
    with pytest.raises((BadRequestError, HfHubHTTPError)):
        commit(target, repo, [add("a/b.txt/c.txt", b"2")])


def test_upload_folder_puts_every_file_there(target, repo, tmp_path):
    (tmp_path / "sae").mkdir()
    for number in range(12):
        (tmp_path / "sae" / f"{number}.json").write_text(str(number), encoding="utf-8")
    (tmp_path / "sae" / "sae_weights.safetensors").write_bytes(os.urandom(2000))
    target.api.upload_folder(repo_id=repo, folder_path=tmp_path)
    assert len(files(target, repo)) == 14
