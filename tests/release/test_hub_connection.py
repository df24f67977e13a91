from __future__ import annotations

import httpx2
import pytest
from huggingface_hub.errors import HfHubHTTPError

from manifests.errors import UsageError
from release.hub_connection import HubConnection, connect, hub_errors_explained
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
