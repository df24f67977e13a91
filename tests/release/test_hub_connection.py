from __future__ import annotations

import json
import logging
import os
import time
import types
import urllib.request

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi, constants
from huggingface_hub.errors import HfHubHTTPError

from manifests.errors import UsageError
from release.embedded_hub import EmbeddedHub
from release.hub_connection import (
    HubConnection,
    UnusableToken,
    connect,
    hub_errors_explained,
)
from validators.reading.hub_repository import HubRepository
from validators.reading.repository import HubUnavailable

HUB = HubConnection("http://127.0.0.1:9", "hf_secret")


def http_error(status: int, message: str = "no") -> HfHubHTTPError:
    request = httpx2.Request("GET", "http://127.0.0.1:9/api/x")
    response = httpx2.Response(status, request=request)
    return HfHubHTTPError(message, response=response, server_message=message)


@pytest.mark.parametrize(
    ("status", "hint"),
    [(401, "log in"), (403, "allowed"), (418, "is a Hub"), (429, "wait"), (500, "later")],
)
def test_each_status_says_what_to_do(status: int, hint: str) -> None:
    with pytest.raises(HubUnavailable) as caught, hub_errors_explained("reading x", HUB):
        raise http_error(status)
    assert caught.value.exit_code == 4
    assert str(status) in caught.value.what
    assert hint in (caught.value.next_step or "")


def test_a_dropped_connection_is_a_hub_error() -> None:
    with (
        pytest.raises(HubUnavailable, match=r"no answer from http://127\.0\.0\.1:9"),
        hub_errors_explained("reading x", HUB),
    ):
        raise httpx2.ReadError("reset")


def test_the_hubs_own_words_are_shown_and_the_address_of_the_request_is_not() -> None:
    error = http_error(400, "the file is too large")
    error.args = ("for url https://cdn.example/blob?X-Signature=abc123 failed",)
    with (
        pytest.raises(HubUnavailable, match="too large") as caught,
        hub_errors_explained("reading x", HUB),
    ):
        raise error
    assert "abc123" not in str(caught.value)


def test_an_upload_that_breaks_off_can_be_repeated() -> None:
    with pytest.raises(HubUnavailable, match="broke off"), hub_errors_explained("reading x", HUB):
        raise RuntimeError("Network error: connection closed")


def test_a_bug_is_not_taken_for_a_hub_error() -> None:
    with pytest.raises(KeyError), hub_errors_explained("reading x", HUB):
        raise KeyError("bug")


def test_the_token_is_not_in_the_representation() -> None:
    assert "hf_secret" not in repr(HUB)


def test_a_hub_that_is_no_url_is_a_usage_error(tmp_path) -> None:
    with pytest.raises(UsageError, match="embeded"), connect("embeded", build=tmp_path):
        pass


@pytest.mark.parametrize(
    ("endpoint", "write"),
    [
        ("huggingface.co", "https://huggingface.co"),
        ("localhost:8080", "http://localhost:8080"),
        ("htps://huggingface.co", "https://huggingface.co"),
        ("https://", "https://huggingface.co"),
        ("https://[", "https://huggingface.co"),
        ("", "https://huggingface.co"),
    ],
)
def test_an_endpoint_that_is_no_url_is_a_usage_error(
    endpoint, write, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    with (
        pytest.raises(UsageError, match="HF_ENDPOINT is no URL") as refused,
        connect(None, build=tmp_path),
    ):
        pass
    assert refused.value.next_step == f"write {write}"
    # Another Hub was named, which needs no default.
    with connect("http://127.0.0.1:9/", build=tmp_path) as connection:
        assert connection.endpoint == "http://127.0.0.1:9"


UMLAUT = "hf_h\N{LATIN SMALL LETTER O WITH DIAERESIS}f"


@pytest.mark.parametrize("token", [UMLAUT, "hf_a b", "hf_a\x1bb"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_printed(
    token, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UnusableToken) as refused, connect(HUB.endpoint, build=tmp_path):
        pass
    assert refused.value.exit_code == 2
    assert refused.value.where == "HF_TOKEN"
    assert refused.value.what == "the token holds characters that no token has"
    assert refused.value.next_step == f"copy it again from {HUB.endpoint}/settings/tokens"
    assert token not in str(refused.value)


def test_blanks_around_a_token_are_left_out(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", " hf_x\r\n")
    with connect(HUB.endpoint, build=tmp_path) as connection:
        assert connection.token == "hf_x"
    monkeypatch.setenv("HF_TOKEN", " ")
    with connect(HUB.endpoint, build=tmp_path) as connection:
        assert connection.token is None


def test_a_saved_token_that_cannot_be_sent_or_read_names_its_file(tmp_path, monkeypatch) -> None:
    file = tmp_path / "token"
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(file))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)

    def refused() -> UnusableToken:
        with pytest.raises(UnusableToken) as caught, connect(None, build=tmp_path):
            pass
        assert caught.value.where == str(file)
        return caught.value

    file.write_text(UMLAUT, encoding="utf-8")
    assert "characters that no token has" in refused().what
    # Bytes that are no UTF-8, which is what Linux and macOS read a file as.
    file.write_bytes(b"hf_h\xf6f")
    assert "characters that no token has" in refused().what
    file.unlink()
    file.mkdir()
    unread = refused()
    assert "the saved token cannot be read" in unread.what
    assert unread.next_step == "move it with HF_HOME, or set HF_TOKEN"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with EmbeddedHub(tmp_path_factory.mktemp("connections") / "hub") as running:
        yield running


@pytest.fixture
def weights(hub):
    """A repository whose one large file is downloaded by a signed URL."""
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    repo_id = f"{hub.user}/weights"
    api.create_repo(repo_id, exist_ok=True)
    content = CommitOperationAdd("a/w.safetensors", os.urandom(3_000))
    api.create_commit(repo_id, [content], commit_message="x")
    yield repo_id
    hub.clear_faults()


def test_whoever_reads_by_a_connection_logs_no_signed_url(
    hub, weights, monkeypatch, caplog, tmp_path
) -> None:
    """As `validate` and `fetch` do, which take the token and not the client."""
    for name in ("huggingface_hub", "httpx2"):
        caplog.set_level(logging.DEBUG, name)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    hub.inject("truncate", method="GET", path="/objects/")
    connection = HubConnection(hub.endpoint, hub.token)
    repository = HubRepository(
        weights, endpoint=connection.endpoint, token=connection.token, cache_dir=tmp_path
    )
    assert repository.fetch("a/w.safetensors").stat().st_size == 3_000
    said = [line for line in caplog.messages if "/objects/" in line]
    assert said
    assert all("?..." in line and "signature" not in line for line in said)
    assert hub.token not in caplog.text


@pytest.fixture
def keyless_job(hub, monkeypatch):
    """This process as a job that a repository trusts, on a Hub that is the client's default.

    Gives the repository and a function that lets seconds pass for the client and the Hub.
    """
    past_s = [0.0]
    clock = types.SimpleNamespace(
        time=lambda: time.time() + past_s[0], monotonic=lambda: time.monotonic() + past_s[0]
    )
    monkeypatch.setattr("release.embedded_hub.trusted_publishing.time", clock)
    monkeypatch.setattr("huggingface_hub.utils._auth.time", clock)
    monkeypatch.setattr("huggingface_hub.utils._auth._OIDC_TOKEN_CACHE", None)
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    repo_id = f"{hub.user}/keyless"
    HfApi(endpoint=hub.endpoint, token=hub.token).create_repo(repo_id, exist_ok=True)

    def admin(path, **content):
        request = urllib.request.Request(
            f"{hub.endpoint}/embedded-hub/{path}",
            json.dumps(content).encode(),
            {"Authorization": f"Bearer {hub.token}"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    admin("trusted-publishers", repo_id=repo_id, repository="lab/code")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for name, value in admin("oidc/jobs", repository="lab/code").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HF_OIDC_RESOURCE", repo_id)

    def passes(seconds: float) -> None:
        past_s[0] += seconds

    return repo_id, passes


def exchanges(hub) -> int:
    return sum(each.path == "/oauth/token" and each.status == 200 for each in hub.requests())


def test_a_token_of_keyless_publishing_is_renewed_before_it_expires(
    hub, keyless_job, tmp_path
) -> None:
    repo_id, passes = keyless_job
    before = exchanges(hub)
    with connect(None, build=tmp_path) as connection:
        api, first = connection.api(), connection.token
        api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo_id)
        assert exchanges(hub) == before + 1
        passes(3_200)
        assert connection.token == first
        passes(500)
        # 3700 s after the exchange the first token opens nothing, and the same client goes on.
        with pytest.raises(HfHubHTTPError) as expired:
            HfApi(endpoint=hub.endpoint, token=first).repo_info(repo_id)
        assert expired.value.response.status_code == 401
        done = api.upload_file(path_or_fileobj=b"2", path_in_repo="a.txt", repo_id=repo_id)
        assert connection.token != first
    assert exchanges(hub) == before + 2
    assert HfApi(endpoint=hub.endpoint, token=hub.token).repo_info(repo_id).sha == done.oid


def test_a_job_that_nobody_trusts_is_told_where_to_be_trusted(
    hub, keyless_job, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("HF_OIDC_RESOURCE", f"{hub.user}/weights")
    with (
        pytest.raises(HubUnavailable, match="no token for this job") as refused,
        connect(None, build=tmp_path),
    ):
        pass
    assert f"{hub.user}/weights has no trusted publisher" in str(refused.value)
    assert "let the repository's settings trust this workflow" in (refused.value.next_step or "")
    monkeypatch.delenv("GITHUB_ACTIONS")
    with pytest.raises(HubUnavailable, match="OIDC"), connect(None, build=tmp_path):
        pass
