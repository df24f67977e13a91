"""Keyless publishing on the embedded Hub, through the client's own exchange."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from huggingface_hub import HfApi
from huggingface_hub._oidc import exchange_oidc_token, get_oidc_token
from huggingface_hub.errors import HfHubHTTPError

from release.embedded_hub import EmbeddedHub

CODE, WORKFLOW = "lab/code", "publish.yml"
CLAIMS = {
    "repository": CODE,
    "workflow_ref": f"{CODE}/.github/workflows/{WORKFLOW}@refs/heads/main",
    "environment": "hub",
}


def admin(hub: EmbeddedHub, path: str, **content: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{hub.endpoint}/embedded-hub/{path}",
        json.dumps(content).encode(),
        {"Authorization": f"Bearer {hub.token}"},
    )
    with urllib.request.urlopen(request) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@pytest.fixture
def job(hub: EmbeddedHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make this process a job of a CI service with some claims; gives its identity token."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")

    def started(audience: str | None = None, **claims: str) -> str:
        for name, value in admin(hub, "oidc/jobs", **{**CLAIMS, **claims}).items():
            monkeypatch.setenv(name, value)
        return str(get_oidc_token(audience=audience or hub.endpoint))

    return started


def token_for(hub: EmbeddedHub, identity: str, repo_id: str) -> str:
    answer = exchange_oidc_token(subject_token=identity, resource=repo_id, endpoint=hub.endpoint)
    assert answer["expires_in"] == 3600
    return str(answer["access_token"])


def status(error: HfHubHTTPError) -> int:
    assert error.response is not None
    return int(error.response.status_code)


def test_a_trusted_job_writes_its_repository_and_nothing_else(
    hub: EmbeddedHub, hub_api: HfApi, hub_repo: str, job: Any
) -> None:
    hub_api.update_repo_settings(hub_repo, private=True)
    other = f"{hub_repo}-other"
    hub_api.create_repo(other, private=True)
    admin(hub, "trusted-publishers", repo_id=hub_repo, repository=CODE, workflow=WORKFLOW)
    keyless = HfApi(endpoint=hub.endpoint, token=token_for(hub, job(), hub_repo))
    done = keyless.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=hub_repo)
    assert hub_api.repo_info(hub_repo).sha == done.oid
    assert hub_api.list_repo_commits(hub_repo)[0].authors == ["[OIDC]"]
    keyless.create_tag(hub_repo, tag="release-1")
    with pytest.raises(HfHubHTTPError) as unseen:
        keyless.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=other)
    assert status(unseen.value) == 404
    with pytest.raises(HfHubHTTPError) as refused:
        keyless.create_repo(f"{hub_repo}-new")
    assert status(refused.value) == 403
    with pytest.raises(HfHubHTTPError) as nobody:
        keyless.whoami()
    assert status(nobody.value) == 401
    assert not keyless.file_exists(hub_repo, "b.txt")


@pytest.mark.parametrize(
    "claims",
    [
        {"repository": "lab/other-code"},
        {"workflow_ref": f"{CODE}/.github/workflows/gate.yml@refs/heads/main"},
        {"environment": "another"},
    ],
    ids=["repository", "workflow", "environment"],
)
def test_a_job_with_other_claims_gets_no_token(
    hub: EmbeddedHub, hub_repo: str, job: Any, claims: dict[str, str]
) -> None:
    publisher = {"repository": CODE, "workflow": WORKFLOW, "environment": "hub"}
    admin(hub, "trusted-publishers", repo_id=hub_repo, **publisher)
    assert token_for(hub, job(), hub_repo).startswith("hf_jwt_")
    with pytest.raises(HfHubHTTPError) as refused:
        token_for(hub, job(**claims), hub_repo)
    assert status(refused.value) == 400
    assert refused.value.response.json()["error"] == "invalid_grant"


def test_a_repository_without_publishers_trusts_nobody(
    hub: EmbeddedHub, hub_repo: str, job: Any
) -> None:
    with pytest.raises(HfHubHTTPError) as refused:
        token_for(hub, job(), hub_repo)
    assert status(refused.value) == 400


def test_a_token_of_another_issuer_or_for_somebody_else_is_refused(
    hub: EmbeddedHub, hub_repo: str, job: Any
) -> None:
    admin(hub, "trusted-publishers", repo_id=hub_repo, repository=CODE)
    good = job()
    head, body, signature = good.split(".")
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    for bad in (job(audience="https://example.org"), f"{head}.{body}.{flipped}", "nonsense", ""):
        with pytest.raises(HfHubHTTPError) as refused:
            token_for(hub, bad, hub_repo)
        assert status(refused.value) == 400
    assert token_for(hub, good, hub_repo)


def test_an_altered_write_token_opens_nothing(hub: EmbeddedHub, hub_repo: str, job: Any) -> None:
    admin(hub, "trusted-publishers", repo_id=hub_repo, repository=CODE)
    identity = job()
    token = token_for(hub, identity, hub_repo)
    for bad in (f"{token}x", "hf_jwt_", "hf_jwt_a.b.c", f"hf_jwt_{identity}"):
        with pytest.raises(HfHubHTTPError) as refused:
            HfApi(endpoint=hub.endpoint, token=bad).list_repo_commits(hub_repo)
        assert status(refused.value) == 401


def test_a_token_of_a_job_reads_settings_and_changes_none(
    hub: EmbeddedHub, hub_api: HfApi, hub_repo: str, job: Any
) -> None:
    admin(hub, "trusted-publishers", repo_id=hub_repo, repository=CODE, workflow=WORKFLOW)
    keyless = HfApi(endpoint=hub.endpoint, token=token_for(hub, job(), hub_repo))
    assert keyless.model_info(hub_repo).gated is False
    with pytest.raises(HfHubHTTPError) as refused:
        keyless.update_repo_settings(hub_repo, gated="auto")
    assert status(refused.value) == 403
    with pytest.raises(HfHubHTTPError) as refused:
        keyless.create_collection("of a job", namespace=hub.user)
    assert status(refused.value) == 403
    assert hub_api.model_info(hub_repo).gated is False
