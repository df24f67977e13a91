"""Faults do what they say, and the log shows what happened."""

from __future__ import annotations

import time
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import HfHubHTTPError

from release.embedded_hub import Fault


def commit(api, repo, content=b"1"):
    return api.create_commit(repo, [CommitOperationAdd("a.txt", content)], commit_message="test")


def commit_calls(hub, repo):
    path = f"/api/models/{repo}/commit/main"
    return [entry.status for entry in hub.requests() if entry.path == path]


def test_a_release_is_one_commit_call(hub, hub_api, hub_repo):
    files = [CommitOperationAdd(f"{number}.json", b"{}") for number in range(20)]
    hub_api.create_commit(hub_repo, files, commit_message="release")
    assert commit_calls(hub, hub_repo) == [200]


def test_a_status_fault_answers_without_doing_anything(hub, hub_api, hub_repo):
    head = hub_api.model_info(hub_repo).sha
    hub.inject("status", method="POST", path="/commit/", status=503)
    with pytest.raises(HfHubHTTPError) as caught:
        commit(hub_api, hub_repo)
    assert caught.value.response.status_code == 503
    assert hub_api.model_info(hub_repo).sha == head
    commit(hub_api, hub_repo)
    assert commit_calls(hub, hub_repo) == [503, 200]


def test_a_429_carries_the_headers_that_the_client_reads(hub, hub_api, hub_repo):
    hub.inject("status", path="/commit/", status=429, seconds=7)
    with pytest.raises(HfHubHTTPError, match="Retry after 7 seconds"):
        commit(hub_api, hub_repo)


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/api/models/{}/tree/main", '"fixed window";"api";q=1000;w=300'),
        ("/{}/resolve/main/a.txt", '"fixed window";"resolvers";q=5000;w=300'),
    ],
)
def test_a_429_names_the_limit_that_was_met(hub, hub_repo, path, limit):
    hub.inject("status", status=429, path=hub_repo)
    answer = httpx2.get(hub.endpoint + path.format(hub_repo))
    assert answer.headers["RateLimit-Policy"] == limit


@pytest.mark.parametrize(
    ("given", "waited_s"),
    [({"seconds": 3}, 4.0), ({"headers": {"Retry-After": "5"}}, 6.0)],
    ids=["RateLimit", "Retry-After"],
)
def test_a_client_waits_as_long_as_a_429_says(hub, hub_api, hub_repo, monkeypatch, given, waited_s):
    """The client adds a second to what the Hub says."""
    waits = []
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", waits.append)
    hub.inject("status", status=429, method="GET", path="/tree/", **given)
    assert [entry.path for entry in hub_api.list_repo_tree(hub_repo)] == [".gitattributes"]
    assert waits == [waited_s]


def test_only_the_nth_request_fails(hub, hub_api, hub_repo):
    hub.inject("status", path=f"{hub_repo}/commit/", nth=2, times=2)
    commit(hub_api, hub_repo, b"1")
    for _ in range(2):
        with pytest.raises(HfHubHTTPError):
            commit(hub_api, hub_repo, b"2")
    commit(hub_api, hub_repo, b"2")
    assert commit_calls(hub, hub_repo) == [200, 500, 500, 200]


def test_a_drop_before_leaves_the_head(hub, hub_api, hub_repo):
    head = hub_api.model_info(hub_repo).sha
    hub.inject("drop_before", path="/commit/")
    with pytest.raises(httpx2.RemoteProtocolError):
        commit(hub_api, hub_repo)
    assert hub_api.model_info(hub_repo).sha == head
    assert commit_calls(hub, hub_repo) == [None]


def test_a_drop_after_leaves_a_commit_that_the_client_does_not_know_of(hub, hub_api, hub_repo):
    head = hub_api.model_info(hub_repo).sha
    hub.inject("drop_after", path="/commit/")
    with pytest.raises(httpx2.RemoteProtocolError):
        commit(hub_api, hub_repo)
    assert hub_api.model_info(hub_repo).sha != head
    assert hub_api.list_repo_commits(hub_repo)[0].title == "test"


def test_a_truncated_answer_ends_in_the_middle(hub, hub_repo):
    hub.inject("truncate", path="/resolve/")
    url = f"{hub.endpoint}/{hub_repo}/resolve/main/.gitattributes"
    with httpx2.Client() as client, pytest.raises(httpx2.RemoteProtocolError):
        client.get(url)


@pytest.mark.parametrize(("fraction", "n_bytes"), [(0.0, 0), (0.25, 25), (0.999, 99)])
def test_a_truncated_answer_ends_at_the_byte_that_was_asked_for(
    hub, hub_api, hub_repo, fraction, n_bytes
):
    hub_api.create_commit(
        hub_repo, [CommitOperationAdd("100.txt", b"x" * 100)], commit_message="test"
    )
    hub.inject("truncate", path="/resolve/", fraction=fraction)
    with pytest.raises(httpx2.RemoteProtocolError, match=f"received {n_bytes} bytes"):
        httpx2.get(f"{hub.endpoint}/{hub_repo}/resolve/main/100.txt")
    assert hub.requests()[-1].bytes_out == n_bytes


@pytest.mark.parametrize("action", ["slow", "slow_body"])
def test_a_slow_answer_is_complete(hub, hub_api, hub_repo, action):
    hub.inject(action, path="/commit/", seconds=0.05)
    made = commit(hub_api, hub_repo)
    assert hub_api.model_info(hub_repo).sha == made.oid


def test_a_slow_request_is_acted_upon_after_the_client_has_gone(hub, hub_repo):
    hub.inject("slow", method="POST", path="/tag/", seconds=0.2)
    url = f"{hub.endpoint}/api/models/{hub_repo}/tag/main"
    headers = {"Authorization": f"Bearer {hub.token}"}
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(url, json={"tag": "late"}, headers=headers, timeout=0.05)
    tags = []
    for _ in range(200):
        refs = httpx2.get(f"{hub.endpoint}/api/models/{hub_repo}/refs").json()
        if tags := [tag["name"] for tag in refs["tags"]]:
            break
        time.sleep(0.02)
    assert tags == ["late"]


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.99])
@pytest.mark.parametrize("name", ["a.txt", "a.bin"])
@pytest.mark.parametrize("action", ["truncate", "slow_body"])
def test_a_download_goes_on_where_its_body_broke_off(
    hub, hub_api, hub_repo, tmp_path, monkeypatch, caplog, action, name, fraction
):
    """The client takes a silent body for a broken one and asks for the bytes that it lacks."""
    content = b"\0" * (name == "a.bin") + b"0123456789" * 2000
    hub_api.create_commit(hub_repo, [CommitOperationAdd(name, content)], commit_message="test")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    path = "/objects/" if name == "a.bin" else "/resolve/"
    hub.inject(action, method="GET", path=path, fraction=fraction, seconds=0.5)
    found = Path(hub_api.hf_hub_download(hub_repo, name, cache_dir=tmp_path))
    assert found.read_bytes() == content
    assert [line for line in caplog.messages if "Trying to resume download" in line]


def test_another_process_sets_faults_and_reads_the_log_by_http(hub, hub_api, hub_repo):
    admin = f"{hub.endpoint}/embedded-hub"
    with httpx2.Client(headers={"Authorization": f"Bearer {hub.token}"}) as client:
        before = len(hub.requests())
        client.post(
            f"{admin}/faults", json={"action": "status", "path": "/commit/", "status": 502}
        ).raise_for_status()
        with pytest.raises(HfHubHTTPError):
            commit(hub_api, hub_repo)
        entries = client.get(f"{admin}/requests", params={"since": before}).json()
        assert [entry["status"] for entry in entries if "/commit/" in entry["path"]] == [502]
        client.post(f"{admin}/faults", json=[{"action": "status", "path": "/commit/"}])
        client.delete(f"{admin}/faults")
        commit(hub_api, hub_repo)
        wrong = client.post(f"{admin}/faults", json={"action": "explode"})
        assert wrong.status_code == 400
    with httpx2.Client() as anonymous:
        assert anonymous.get(f"{admin}/requests").status_code == 401


@pytest.mark.parametrize(
    "options",
    [
        {"action": "explode"},
        {"action": "status", "status": 200},
        {"action": "status", "nth": 0},
        {"action": "truncate", "fraction": 1.0},
        {"action": "status", "unknown": 1},
        {"path": "x"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(options):
    with pytest.raises(ValueError, match=r"."):
        Fault.from_json(options)


def test_the_log_holds_no_secrets(hub, hub_api, hub_repo, tmp_path):
    commit(hub_api, hub_repo)
    hub_api.upload_file(path_or_fileobj=b"\0w", path_in_repo="w.bin", repo_id=hub_repo)
    hub_api.hf_hub_download(hub_repo, "w.bin", cache_dir=tmp_path)
    assert any(entry.origin == "storage" for entry in hub.requests())
    for entry in hub.requests():
        assert "signature" not in entry.query
        assert "hf_" not in entry.path + entry.query
    log = (hub._root / "requests.jsonl").read_text(encoding="utf-8")
    assert hub.token not in log
    assert "signature" not in log
    assert len(log.splitlines()) == len(hub.requests())
