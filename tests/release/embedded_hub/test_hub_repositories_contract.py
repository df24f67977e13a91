"""Repositories and access, as huggingface_hub sees them (also run against the real Hub)."""

from __future__ import annotations

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError


def test_whoami_names_the_user_of_the_token(target):
    assert target.api.whoami()["type"] in {"user", "org"}


def test_whoami_refuses_an_unknown_token(target):
    with pytest.raises(HfHubHTTPError) as caught:
        HfApi(endpoint=target.endpoint, token="hf_" + "x" * 34).whoami()
    assert caught.value.response.status_code == 401


def test_a_new_repository_holds_gitattributes_and_a_commit(target, repo):
    info = target.api.model_info(repo)
    assert [file.rfilename for file in info.siblings] == [".gitattributes"]
    assert len(info.sha) == 40
    assert info.private is False


def test_creating_a_repository_twice_is_a_conflict(target, repo):
    with pytest.raises(HfHubHTTPError) as caught:
        target.api.create_repo(repo)
    assert caught.value.response.status_code == 409
    url = target.api.create_repo(repo, exist_ok=True)
    assert url.repo_id == repo


def test_a_missing_repository_is_not_found(target):
    with pytest.raises(RepositoryNotFoundError):
        target.api.model_info(f"{target.namespace}/never-created-here")
    assert not target.api.repo_exists(f"{target.namespace}/never-created-here")


def test_a_missing_repository_answers_anonymous_callers_with_401(target):
    with pytest.raises(RepositoryNotFoundError) as caught:
        HfApi(endpoint=target.endpoint, token=False).model_info(f"{target.namespace}/never-here")
    assert caught.value.response.status_code == 401


def test_a_private_repository_is_hidden_from_anonymous_callers(target, new_repo):
    repo_id = new_repo(private=True)
    assert target.api.model_info(repo_id).private is True
    with pytest.raises(RepositoryNotFoundError) as caught:
        HfApi(endpoint=target.endpoint, token=False).model_info(repo_id)
    assert caught.value.response.status_code == 401


def test_visibility_can_be_changed(target, repo):
    target.api.update_repo_settings(repo, private=True)
    assert target.api.model_info(repo).private is True


def test_a_moved_repository_has_its_new_name(target, repo):
    target.api.move_repo(repo, f"{repo}-moved")
    try:
        assert target.api.model_info(f"{repo}-moved").id == f"{repo}-moved"
    finally:
        target.api.delete_repo(f"{repo}-moved")


def test_a_deleted_repository_is_gone(target, repo):
    target.api.delete_repo(repo)
    assert not target.api.repo_exists(repo)
    with pytest.raises(RepositoryNotFoundError):
        target.api.delete_repo(repo)
    target.api.delete_repo(repo, missing_ok=True)


def test_datasets_and_models_of_one_name_are_different_repositories(target, repo):
    target.api.create_repo(repo, repo_type="dataset")
    try:
        target.api.upload_file(
            path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo, repo_type="dataset"
        )
        assert target.api.list_repo_files(repo) == [".gitattributes"]
        assert target.api.file_exists(repo, "a.txt", repo_type="dataset")
    finally:
        target.api.delete_repo(repo, repo_type="dataset")


def test_models_are_listed_by_author(target, repo):
    assert repo in {model.id for model in target.api.list_models(author=target.namespace)}


def test_card_metadata_becomes_tags_and_library(target, repo):
    card = "---\nlicense: mit\nlibrary_name: saelens\ntags: [sparse-autoencoder]\n---\n# An SAE\n"
    target.api.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=repo)
    info = target.api.model_info(repo)
    assert info.library_name == "saelens"
    assert info.card_data["license"] == "mit"
    assert {"saelens", "sparse-autoencoder", "license:mit"} <= set(info.tags)


def test_an_unknown_revision_is_named_as_such(target, repo):
    with pytest.raises(RevisionNotFoundError):
        target.api.model_info(repo, revision="no-such-branch")


def test_auth_check_passes_for_the_owner(target, repo):
    assert target.api.auth_check(repo) is None
    assert target.api.auth_check(repo, write=True) is None
