"""What the server refuses, whoever asks: it trusts no name, no path, no digest."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError


@pytest.fixture
def client(hub):
    with httpx2.Client(
        base_url=hub.endpoint, headers={"Authorization": f"Bearer {hub.token}"}
    ) as client:
        yield client


def ndjson(*items):
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


HEADER = {"key": "header", "value": {"summary": "test"}}


def post_commit(client, repo, *items):
    return client.post(f"/api/models/{repo}/commit/main", content=ndjson(*items))


@pytest.mark.parametrize(
    "path",
    [
        "../outside.txt",
        "a/../../outside.txt",
        "/etc/passwd",
        ".git/config",
        "a/.GIT/hooks/x",
        "a\\..\\b",
        "a//b",
        "./a",
        "a/.",
        "",
        "nul\x00byte",
        7,
    ],
)
def test_paths_that_leave_the_repository_are_refused(client, hub_repo, path):
    head = client.get(f"/api/models/{hub_repo}").json()["sha"]
    added = {"key": "file", "value": {"path": path, "content": "x"}}
    answer = post_commit(client, hub_repo, HEADER, added)
    assert answer.status_code == 400
    assert client.get(f"/api/models/{hub_repo}").json()["sha"] == head


@pytest.mark.parametrize("path", ["..%2f..%2faccounts.json", "%2e%2e/%2e%2e/accounts.json"])
def test_a_download_never_leaves_the_repository(client, hub_repo, path):
    assert client.get(f"/{hub_repo}/resolve/main/{path}").status_code == 404


def test_an_object_that_was_not_uploaded_is_refused(client, hub_repo):
    value = {"path": "w.bin", "algo": "sha256", "oid": "0" * 64, "size": 3}
    answer = post_commit(client, hub_repo, HEADER, {"key": "lfsFile", "value": value})
    assert answer.status_code == 400
    assert "does not exist" in answer.json()["error"]


def test_a_wrong_size_of_an_uploaded_object_is_refused(client, hub, hub_api, hub_repo):
    hub_api.upload_file(path_or_fileobj=b"\0weights", path_in_repo="w.bin", repo_id=hub_repo)
    sha256 = hashlib.sha256(b"\0weights").hexdigest()
    value = {"path": "v.bin", "algo": "sha256", "oid": sha256, "size": 9}
    answer = post_commit(client, hub_repo, HEADER, {"key": "lfsFile", "value": value})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "lines",
    [
        b"not json\n",
        b'["a list"]\n',
        ndjson(HEADER),
        ndjson({"key": "file", "value": {"path": "a", "content": "x"}}),
        ndjson(HEADER, HEADER, {"key": "file", "value": {"path": "a", "content": "x"}}),
        ndjson(HEADER, {"key": "unknown", "value": {"path": "a"}}),
        ndjson(
            HEADER, {"key": "file", "value": {"path": "a", "content": "!", "encoding": "base64"}}
        ),
        ndjson(
            {"key": "header", "value": {"summary": "x", "parentCommit": "main"}},
            {"key": "file", "value": {"path": "a", "content": "x"}},
        ),
        ndjson(
            {"key": "header", "value": {"summary": " "}},
            {"key": "file", "value": {"path": "a", "content": "x"}},
        ),
    ],
)
def test_a_malformed_commit_is_refused(client, hub_repo, lines):
    answer = client.post(f"/api/models/{hub_repo}/commit/main", content=lines)
    assert answer.status_code == 400


@pytest.mark.parametrize("name", ["a--b", "..", "a.git", "-a", "a" * 97, "a b", "a:b"])
def test_names_that_the_hub_does_not_allow_are_refused(client, name):
    answer = client.post("/api/repos/create", json={"name": name, "organization": "researcher"})
    assert answer.status_code == 400


@pytest.mark.parametrize("name", ["a:b", "con", "a/nul.txt", "x..y", "refs/pr/1", "-x", "a.lock"])
def test_refs_that_cannot_be_files_everywhere_are_refused(hub_api, hub_repo, name):
    with pytest.raises(HfHubHTTPError) as caught:
        hub_api.create_branch(hub_repo, branch=name)
    assert caught.value.response.status_code == 400


def test_refs_that_differ_only_in_case_are_refused(hub_api, hub_repo):
    hub_api.create_branch(hub_repo, branch="dev")
    for name in ("DEV", "dev/x"):
        with pytest.raises(HfHubHTTPError) as caught:
            hub_api.create_branch(hub_repo, branch=name)
        assert caught.value.response.status_code == 409


def test_a_read_token_cannot_write(hub, hub_repo):
    reader = HfApi(endpoint=hub.endpoint, token=hub.read_token)
    assert reader.model_info(hub_repo).id == hub_repo
    with pytest.raises(HfHubHTTPError) as caught:
        reader.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=hub_repo)
    assert caught.value.response.status_code == 403


def test_another_users_namespace_is_refused(hub_api):
    with pytest.raises(HfHubHTTPError) as caught:
        hub_api.create_repo("stranger/mine")
    assert caught.value.response.status_code == 403


def test_an_unknown_namespace_becomes_the_writers(hub, hub_api):
    hub_api.create_repo("a-real-author/model")
    assert "a-real-author" in {org["name"] for org in hub_api.whoami()["orgs"]}


def test_a_wrong_token_is_not_a_missing_repository(hub, hub_repo):
    with pytest.raises(HfHubHTTPError) as caught:
        HfApi(endpoint=hub.endpoint, token="hf_wrong").model_info(hub_repo)
    assert caught.value.response.status_code == 401
    assert not isinstance(caught.value, RepositoryNotFoundError)


def test_a_gated_repository_shows_itself_but_not_its_files(hub, hub_api, hub_repo, tmp_path):
    hub_api.update_repo_settings(hub_repo, gated="auto")
    anonymous = HfApi(endpoint=hub.endpoint, token=False)
    assert anonymous.model_info(hub_repo).gated == "auto"
    with pytest.raises(GatedRepoError):
        anonymous.hf_hub_download(hub_repo, ".gitattributes", cache_dir=tmp_path, token=False)


def test_a_private_repository_cannot_be_written_by_the_anonymous(hub, hub_api, hub_repo):
    hub_api.update_repo_settings(hub_repo, private=True)
    with httpx2.Client(base_url=hub.endpoint) as anonymous:
        answer = post_commit(anonymous, hub_repo, HEADER)
    assert answer.status_code == 401
    assert answer.headers["X-Error-Code"] == "RepoNotFound"


def test_a_link_opens_only_what_it_was_made_for(client, hub_api, hub_repo):
    hub_api.upload_file(path_or_fileobj=b"\0one", path_in_repo="1.bin", repo_id=hub_repo)
    hub_api.upload_file(path_or_fileobj=b"\0two", path_in_repo="2.bin", repo_id=hub_repo)
    links = [
        client.get(f"/{hub_repo}/resolve/main/{name}").headers["Location"]
        for name in ("1.bin", "2.bin")
    ]
    assert httpx2.get(links[0]).content == b"\0one"
    base, _, _ = links[1].partition("?")
    stolen = f"{base}?{links[0].partition('?')[2]}"
    assert httpx2.get(stolen).status_code == 403
    assert httpx2.get(base).status_code == 403
    assert httpx2.put(links[0], content=b"other").status_code == 403


def test_an_upload_with_another_digest_is_thrown_away(client, hub_repo):
    asked = client.post(
        f"/{hub_repo}.git/info/lfs/objects/batch",
        json={"operation": "upload", "objects": [{"oid": "1" * 64, "size": 3}]},
    ).json()["objects"][0]
    href = asked["actions"]["upload"]["href"]
    assert httpx2.put(href, content=b"abc").status_code == 400
    verify = client.post(asked["actions"]["verify"]["href"], json={"oid": "1" * 64, "size": 3})
    assert verify.status_code == 404


def test_ranges_are_answered_or_refused(client, hub_api, hub_repo):
    hub_api.upload_file(path_or_fileobj=b"0123456789", path_in_repo="a.txt", repo_id=hub_repo)
    hub_api.upload_file(path_or_fileobj=b"\x00123456789", path_in_repo="a.bin", repo_id=hub_repo)
    for name in ("a.txt", "a.bin"):
        url = f"/{hub_repo}/resolve/main/{name}"

        def get(value, url=url):
            return client.get(url, headers={"Range": value}, follow_redirects=True)

        part = get("bytes=2-4")
        assert (part.status_code, part.content) == (206, b"234")
        assert part.headers["Content-Range"] == "bytes 2-4/10"
        assert get("bytes=-3").content == b"789"
        assert get("bytes=7-100").content == b"789"
        beyond = get("bytes=10-")
        assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, "bytes */10")


def test_of_eight_commits_on_one_parent_exactly_one_wins(hub, hub_api, hub_repo):
    parent = hub_api.model_info(hub_repo).sha

    def attempt(number):
        try:
            return hub_api.create_commit(
                hub_repo,
                [CommitOperationAdd("winner.txt", str(number).encode())],
                commit_message=f"attempt {number}",
                parent_commit=parent,
            ).oid
        except HfHubHTTPError as error:
            return error.response.status_code

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(attempt, range(8)))
    winners = [result for result in results if isinstance(result, str)]
    assert len(winners) == 1
    assert [result for result in results if result not in winners] == [412] * 7
    assert hub_api.model_info(hub_repo).sha == winners[0]
    assert len(hub_api.list_repo_commits(hub_repo)) == 2


def test_commits_without_a_parent_all_land_one_after_the_other(hub, hub_api, hub_repo):
    def upload(number):
        hub_api.upload_file(
            path_or_fileobj=str(number).encode(), path_in_repo=f"{number}.txt", repo_id=hub_repo
        )

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(upload, range(8)))
    assert len(hub_api.list_repo_files(hub_repo)) == 9
    assert len(hub_api.list_repo_commits(hub_repo)) == 9


def test_two_sides_changing_a_file_is_a_conflict(hub_api, hub_repo):
    made = hub_api.create_commit(
        hub_repo, [CommitOperationAdd("a.txt", b"1")], commit_message="pr", create_pr=True
    )
    hub_api.upload_file(path_or_fileobj=b"2", path_in_repo="a.txt", repo_id=hub_repo)
    assert hub_api.get_discussion_details(hub_repo, made.pr_num).conflicting_files == ["a.txt"]
    with pytest.raises(HfHubHTTPError) as caught:
        hub_api.merge_pull_request(hub_repo, made.pr_num)
    assert caught.value.response.status_code == 409


@pytest.mark.parametrize("path", ["/api/nonsense/a/b", "/api/models/a/b/c/d", "/nothing"])
def test_an_unknown_call_is_a_404_that_names_it(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "X-Error-Message" in answer.headers
