"""`release verify owner/name`: what a clean machine finds on a Hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from release.cli import main
from release.embedded_hub import EmbeddedHub
from release.provenance.statement import write_provenance

WEIGHTS = "topk_L1_mixed/sae_weights.safetensors"
N_WEIGHTS = 2


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    with EmbeddedHub(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture
def api(hub: EmbeddedHub, made: Any) -> HfApi:
    """The Hub, whose repository holds the release with its statement."""
    hub.clear_faults()
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    api.delete_repo(made.loaded.manifest.repo_id, missing_ok=True)
    api.create_repo(made.loaded.manifest.repo_id)
    write_provenance(made.loaded, made.build, made.files())
    commit(api, made)
    return api


def commit(api: HfApi, made: Any, **contents: bytes) -> str:
    repo_id = made.loaded.manifest.repo_id
    files = contents or {name: (made.folder / name).read_bytes() for name in made.files()}
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    return str(api.create_commit(repo_id, operations, commit_message="x").oid)


@pytest.fixture
def verified(
    hub: EmbeddedHub,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., dict[str, Any]]:
    """Run the verb against the Hub on a machine that holds nothing of the release."""
    empty = tmp_path / "clean"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.setenv("HF_TOKEN", hub.token)

    def run(target: str, *arguments: str, code: int) -> dict[str, Any]:
        command = ["verify", target, "--hub", hub.endpoint, "--format", "json", *arguments]
        assert main(command) == code
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found | {"parts": {f["part"]: f for f in found["findings"]}}

    return run


def test_weights_are_verified_by_the_hubs_own_digests_without_a_download(
    hub: EmbeddedHub, api: HfApi, made: Any, verified: Any
) -> None:
    before = len(hub.requests())
    found = verified("researcher/two-saes", code=0)
    n = len(made.files()) - 1
    assert found["parts"]["bytes"]["text"] == (
        f"all {n} files are those of the statement: {N_WEIGHTS} by the SHA-256 that the Hub keeps "
        f"them under, {n - N_WEIGHTS} downloaded and hashed"
    )
    asked = [request.path for request in hub.requests()[before:]]
    assert any("README.md" in path for path in asked)
    assert not any("sae_weights" in path for path in asked)
    assert found["location"].startswith("researcher/two-saes@")


def test_every_byte_is_downloaded_when_asked(
    hub: EmbeddedHub, api: HfApi, made: Any, verified: Any
) -> None:
    before = len(hub.requests())
    found = verified("researcher/two-saes", "--download", code=0)
    n = len(made.files()) - 1
    assert found["parts"]["bytes"]["text"].endswith(f": {n} downloaded and hashed")
    assert any("sae_weights" in request.path for request in hub.requests()[before:])


@pytest.mark.parametrize("name", [WEIGHTS, "README.md"])
def test_a_file_that_was_changed_on_the_hub_is_noticed(
    api: HfApi, made: Any, verified: Any, name: str
) -> None:
    content = bytearray((made.folder / name).read_bytes())
    content[-1] ^= 1
    commit(api, made, **{name: bytes(content)})
    problems = verified("researcher/two-saes", code=1)["parts"]["bytes"]["problems"]
    assert len(problems) == 1
    assert problems[0].startswith(f"{name} is ")


def test_a_former_revision_is_verified_by_its_own_statement(
    api: HfApi, made: Any, verified: Any
) -> None:
    former = api.repo_info("researcher/two-saes").sha
    commit(api, made, **{WEIGHTS: b"other"})
    assert verified("researcher/two-saes", code=1)
    found = verified(f"researcher/two-saes@{former}", code=0)
    assert found["location"] == f"researcher/two-saes@{former}"


def test_a_copy_under_another_name_is_told_from_the_original(
    hub: EmbeddedHub, api: HfApi, made: Any, verified: Any
) -> None:
    api.create_repo("researcher/copy", exist_ok=True)
    operations = [
        CommitOperationAdd(name, (made.folder / name).read_bytes()) for name in made.files()
    ]
    api.create_commit("researcher/copy", operations, commit_message="x")
    statement = verified("researcher/copy", code=1)["parts"]["statement"]
    assert statement["problems"] == ["it is of researcher/two-saes, and this is researcher/copy"]


def test_a_repository_without_a_statement_is_not_verified(
    api: HfApi, made: Any, verified: Any
) -> None:
    api.delete_file("provenance.intoto.json", "researcher/two-saes")
    found = verified("researcher/two-saes", code=3)
    assert found["parts"]["statement"]["state"] == "not checked"
    assert found["builder"] is None


def test_a_repository_that_is_not_there_and_a_hub_that_fails_are_told_apart_from_a_failure(
    hub: EmbeddedHub,
    api: HfApi,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The client waits up to 8 s before each new try; the waiting is not under test.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert main(["verify", "researcher/nothing", "--hub", hub.endpoint]) == 4
    hub.inject("status", status=500, path="README.md", times=50)
    assert main(["verify", "researcher/two-saes", "--hub", hub.endpoint]) == 4
    hub.clear_faults()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert hub.token not in captured.err


def test_a_hub_that_serves_other_bytes_than_it_states_is_noticed_by_downloading(
    made: Any, api: HfApi, verified: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A store that was tampered with behind the Hub's back, as far as the client can tell.
    from validators.reading.hub_repository import HubRepository

    real = HubRepository.fetch

    def fetch(self: HubRepository, path: str) -> Path:
        file = real(self, path)
        if path != WEIGHTS:
            return file
        other = file.with_name("other")
        other.write_bytes(b"other")
        return other

    monkeypatch.setattr(HubRepository, "fetch", fetch)
    assert verified("researcher/two-saes", code=0)
    found = verified("researcher/two-saes", "--download", code=1)
    assert found["parts"]["bytes"]["problems"][0].startswith(WEIGHTS)
