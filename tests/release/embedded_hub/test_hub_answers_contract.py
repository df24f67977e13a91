"""Statuses, error codes, redirects, tokens and pages, on the wire (also run against the real Hub).

What huggingface_hub makes of them is in the other contract tests. A rate limit cannot be met on
purpose, so its answers are in `test_hub_faults`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

WEIGHTS = os.urandom(6_000)


@pytest.fixture
def wire(target) -> Iterator[httpx2.Client]:
    """Requests with the token that writes; redirects are not followed."""
    headers = {"Authorization": f"Bearer {target.token}"}
    with httpx2.Client(base_url=target.endpoint, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture
def anonymous(target) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=target.endpoint, timeout=30) as client:
        yield client


@pytest.fixture
def weights(target, repo) -> str:
    """The path of a large file."""
    target.api.upload_file(path_or_fileobj=WEIGHTS, path_in_repo="a/w.safetensors", repo_id=repo)
    return "a/w.safetensors"


def said(answer: httpx2.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.headers.get("X-Error-Code")


def test_what_is_not_there_is_404_with_a_code_for_each(target, repo, wire) -> None:
    assert said(wire.get(f"/api/models/{repo}-missing")) == (404, "RepoNotFound")
    assert said(wire.get(f"/api/models/{repo}/revision/missing")) == (404, "RevisionNotFound")
    missing = wire.head(f"/{repo}/resolve/main/missing.txt")
    assert said(missing) == (404, "EntryNotFound")
    assert missing.headers["X-Repo-Commit"] == target.api.model_info(repo).sha
    assert missing.headers["X-Error-Message"]


def test_without_a_token_a_missing_and_a_private_repository_are_the_same_401(
    repo, new_repo, anonymous
) -> None:
    for repo_id in (f"{repo}-missing", new_repo(private=True)):
        assert said(anonymous.get(f"/api/models/{repo_id}")) == (401, "RepoNotFound")


def test_a_gated_repository_has_a_code_of_its_own(target, repo, weights, anonymous) -> None:
    target.api.update_repo_settings(repo, gated="auto")
    assert anonymous.get(f"/api/models/{repo}").json()["gated"] == "auto"
    answer = anonymous.head(f"/{repo}/resolve/main/{weights}")
    assert said(answer) == (401, "GatedRepo")
    with pytest.raises(GatedRepoError):
        HfApi(endpoint=target.endpoint, token=False).get_hf_file_metadata(
            url=f"{target.endpoint}/{repo}/resolve/main/{weights}"
        )


def test_writing_is_401_without_a_token(repo, anonymous) -> None:
    answer = anonymous.post(f"/api/models/{repo}/tag/main", json={"tag": "x"})
    assert answer.status_code == 401


def test_writing_is_403_where_the_token_may_not(target, repo) -> None:
    with pytest.raises(HfHubHTTPError) as others:
        target.api.create_repo(f"{target.others}/{repo.rpartition('/')[2]}")
    assert others.value.response.status_code == 403
    if target.read_token is None:
        pytest.skip("SAE_RELEASE_CONTRACT_READ_TOKEN is not set")
    reader = HfApi(endpoint=target.endpoint, token=target.read_token)
    assert reader.model_info(repo).id == repo
    for write in (
        lambda: reader.create_tag(repo, tag="x"),
        lambda: reader.create_commit(
            repo, [CommitOperationAdd("a.txt", b"1")], commit_message="test"
        ),
    ):
        with pytest.raises(HfHubHTTPError) as refused:
            write()
        assert refused.value.response.status_code == 403


def test_what_is_there_already_is_409(target, repo, wire) -> None:
    namespace, _, name = repo.partition("/")
    create = {"name": name, "organization": namespace, "type": "model"}
    again = wire.post("/api/repos/create", json=create)
    assert again.status_code == 409
    assert again.json()["url"].endswith(f"/{repo}")
    target.api.create_tag(repo, tag="v1")
    assert wire.post(f"/api/models/{repo}/tag/main", json={"tag": "v1"}).status_code == 409


def test_a_large_file_is_a_redirect_to_another_origin(target, repo, weights, wire) -> None:
    answer = wire.head(f"/{repo}/resolve/main/{weights}")
    assert answer.status_code == 302
    assert urlsplit(answer.headers["Location"]).netloc not in ("", urlsplit(target.endpoint).netloc)
    assert answer.headers["X-Linked-Etag"] == f'"{hashlib.sha256(WEIGHTS).hexdigest()}"'
    assert answer.headers["X-Linked-Size"] == str(len(WEIGHTS))
    assert answer.headers["X-Repo-Commit"] == target.api.model_info(repo).sha
    assert len(answer.headers["X-Xet-Hash"]) == 64
    assert 'rel="xet-auth"' in answer.headers["Link"]
    # The link carries its own permission.
    assert httpx2.get(answer.headers["Location"]).content == WEIGHTS


def test_a_small_file_is_answered_at_once(target, repo, wire) -> None:
    answer = wire.get(f"/{repo}/resolve/main/.gitattributes")
    assert answer.status_code == 200
    (entry,) = target.api.get_paths_info(repo, [".gitattributes"])
    assert answer.headers["ETag"].removeprefix("W/") == f'"{entry.blob_id}"'


def test_xet_tokens_come_with_the_address_of_the_store_and_an_end(repo, wire, anonymous) -> None:
    tokens = {}
    for scope in ("read", "write"):
        answer = wire.get(f"/api/models/{repo}/xet-{scope}-token/main")
        assert answer.status_code == 200
        body: dict[str, Any] = answer.json()
        assert answer.headers["X-Xet-Cas-Url"] == body["casUrl"]
        assert answer.headers["X-Xet-Access-Token"] == body["accessToken"]
        assert int(answer.headers["X-Xet-Token-Expiration"]) == body["exp"]
        tokens[scope] = body["accessToken"]
    assert tokens["read"] != tokens["write"]
    assert anonymous.get(f"/api/models/{repo}/xet-read-token/main").status_code == 200
    refused = anonymous.get(f"/api/models/{repo}/xet-write-token/main")
    assert refused.status_code in (401, 403)


def test_a_page_names_the_next_one(target, repo, wire) -> None:
    target.api.create_commit(
        repo,
        [CommitOperationAdd(f"f/{number:04d}.txt", b"x") for number in range(1001)],
        commit_message="many",
    )
    first = wire.get(f"/api/models/{repo}/tree/main/f")
    assert len(first.json()) == 1000
    second = wire.get(first.links["next"]["url"])
    assert [entry["path"] for entry in second.json()] == ["f/1000.txt"]
    assert "next" not in second.links


def test_discussions_come_in_pages(target, repo) -> None:
    for number in range(11):
        target.api.create_discussion(repo, title=f"question {number}")
    found = [each.title for each in target.api.get_repo_discussions(repo)]
    assert sorted(found) == sorted(f"question {number}" for number in range(11))
