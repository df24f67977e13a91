"""A commit on a Hub is read by range, at its oid, and every refusal says what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from manifests.digests import file_sha256
from manifests.progress import Silent
from release.embedded_hub import EmbeddedHub
from validators.reading.hub_repository import HubRepository, _take
from validators.reading.repository import HubUnavailable, UnreadableFile
from validators.reading.safetensors_header import MalformedSafetensors
from validators.stage import validate


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with EmbeddedHub(root=tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture(scope="module")
def published(hub: Any, good_release: Any) -> str:
    """The good release on the Hub, with its manifest."""
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    repo_id = f"{hub.user}/tiny-saes"
    api.create_repo(repo_id)
    api.upload_folder(repo_id=repo_id, folder_path=good_release.repository)
    manifest = good_release.loaded.manifest.model_dump_json().encode()
    api.upload_file(repo_id=repo_id, path_or_fileobj=manifest, path_in_repo="manifest.json")
    return repo_id


def opened(hub: Any, repo_id: str, tmp_path: Path, **options: Any) -> HubRepository:
    return HubRepository(
        repo_id, endpoint=hub.endpoint, token=hub.token, cache_dir=tmp_path / "cache", **options
    )


def test_files_headers_and_digests_are_those_of_the_folder(
    hub: Any, published: str, good_release: Any, tmp_path: Path
) -> None:
    repository = opened(hub, published, tmp_path)
    weights = "tiny_topk_L1_mixed/sae_weights.safetensors"
    local = good_release.repository / weights
    assert repository.files[weights] == local.stat().st_size
    assert set(repository.read_header(weights).tensors) == {"W_enc", "W_dec", "b_enc", "b_dec"}
    assert repository.read_range(weights, 3, 20) == local.read_bytes()[3:23]
    assert repository.read_range(weights, local.stat().st_size, 20) == b""
    assert repository.sha256(weights) == file_sha256(local)
    assert repository.read_json("tiny_topk_L1_mixed/cfg.json")["k"] == 9
    assert repository.location == f"{published}@{repository.oid}"
    assert not (tmp_path / "cache").exists(), "nothing was downloaded to the disk"


def test_a_fetched_file_has_the_bytes_of_the_resolved_commit(
    hub: Any, published: str, good_release: Any, tmp_path: Path
) -> None:
    repository = opened(hub, published, tmp_path)
    path = "tiny_gated_L1_mixed/sae_weights.safetensors"
    fetched = repository.fetch(path)
    assert fetched.is_relative_to(tmp_path)
    assert repository.oid in fetched.parts
    assert file_sha256(fetched) == file_sha256(good_release.repository / path)


def test_a_push_after_opening_is_not_seen(hub: Any, published: str, tmp_path: Path) -> None:
    repository = opened(hub, published, tmp_path)
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    api.upload_file(repo_id=published, path_or_fileobj=b"new", path_in_repo="later.txt")
    assert "later.txt" not in repository.files
    with pytest.raises(UnreadableFile, match="does not exist"):
        repository.read_text("later.txt")
    at_commit = opened(hub, published, tmp_path, revision=repository.oid)
    assert at_commit.files == repository.files


def test_the_published_manifest_is_used_when_no_other_is_given(
    hub: Any, published: str, good_release: Any, tmp_path: Path
) -> None:
    repository = opened(hub, published, tmp_path)
    report = validate(repository, manifest=None, tier="static", progress=Silent())
    assert report.manifest_digest == good_release.loaded.digest
    assert report.checks is not None
    assert report.checks.exit_code == 0
    assert any(outcome.code == "C007" for outcome in report.checks.outcomes)
    weights = "tiny_topk_L1_mixed/sae_weights.safetensors"
    assert report.checks.inputs[weights] == file_sha256(good_release.repository / weights)
    assert report.measurements is None


def test_the_activations_tier_is_skipped_where_the_completions_are_not_published(
    hub: Any, published: str, tmp_path: Path
) -> None:
    repository = opened(hub, published, tmp_path)
    report = validate(repository, manifest=None, tier="activations", progress=Silent())
    assert report.checks is not None
    skipped = next(o for o in report.checks.outcomes if o.code == "H200")
    assert skipped.outcome == "skipped"
    assert "completions.jsonl) are not published" in skipped.found
    assert report.checks.exit_code == 3


@pytest.mark.parametrize(
    ("repo_id", "revision", "message"),
    [
        ("demo/no-such-repository", None, "knows no such repository"),
        (None, "no-such-revision", "has no such revision"),
        ("not a repository id", None, "is not a repository id"),
    ],
)
def test_what_is_not_there_is_named(
    hub: Any, published: str, tmp_path: Path, repo_id: str | None, revision: str, message: str
) -> None:
    with pytest.raises(HubUnavailable, match=message) as caught:
        opened(hub, repo_id or published, tmp_path, revision=revision)
    assert caught.value.exit_code == 4
    assert hub.token not in str(caught.value)


def test_a_private_repository_without_a_token_says_to_log_in(hub: Any, tmp_path: Path) -> None:
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    repo_id = f"{hub.user}/private"
    api.create_repo(repo_id, private=True)
    with pytest.raises(HubUnavailable) as caught:
        HubRepository(repo_id, endpoint=hub.endpoint, token=None, cache_dir=tmp_path)
    assert "hf auth login" in str(caught.value)


def test_a_hub_that_does_not_answer_is_said_to_be_unreachable(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(HubUnavailable, match=f"no answer from {endpoint}") as caught:
        HubRepository("a/b", endpoint=endpoint, cache_dir=tmp_path)
    assert "check the network" in str(caught.value)


def test_a_hub_that_ignores_the_range_is_cut_to_it() -> None:
    chunks = iter([b"0123", b"4567", b"89", b"never read"])
    assert _take(chunks, 3, 4) == b"3456"
    assert next(chunks) == b"89"


def requests_since(hub: Any, n_before: int) -> list[Any]:
    return hub.requests()[n_before:]


def test_reading_ahead_leaves_nothing_to_ask_for_and_reads_no_weights(
    hub: Any, published: str, good_release: Any, tmp_path: Path
) -> None:
    repository = opened(hub, published, tmp_path)
    n_before = len(hub.requests())
    weights = [path for path in repository.files if path.endswith(".safetensors")]
    repository.prefetch([*repository.files, "no/such/file.json"])
    asked = requests_since(hub, n_before)
    sizes = [request.bytes_out for request in asked if request.origin == "storage"]
    assert len(sizes) == 3
    assert max(sizes) <= 2_048
    n_before = len(hub.requests())
    for path in weights:
        assert repository.read_header(path).tensors
        assert repository.read_json(path.replace("sae_weights.safetensors", "cfg.json"))["d_in"]
    assert requests_since(hub, n_before) == []


def test_a_validation_asks_for_every_header_once(hub: Any, published: str, tmp_path: Path) -> None:
    repository = opened(hub, published, tmp_path)
    n_before = len(hub.requests())
    validate(repository, manifest=None, tier="static", progress=Silent())
    paths = [request.path for request in requests_since(hub, n_before)]
    # On the hub's own port one path a file; a second request for weights goes to the storage.
    of_files = [path for path in paths if path.endswith(("/cfg.json", ".safetensors"))]
    assert sorted(of_files) == sorted({*of_files})
    assert len(of_files) == 6


def test_a_header_longer_than_the_first_read_is_read_whole(hub: Any, tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from torch import zeros

    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    repo_id = f"{hub.user}/long-header"
    api.create_repo(repo_id)
    file = tmp_path / "sae_weights.safetensors"
    save_file({f"tensor_{number:04}": zeros(1) for number in range(300)}, file)
    api.upload_file(repo_id=repo_id, path_or_fileobj=file, path_in_repo=file.name)
    repository = opened(hub, repo_id, tmp_path)
    repository.prefetch([file.name])
    assert len(repository.read_header(file.name).tensors) == 300


def test_a_damaged_file_does_not_stop_reading_ahead(hub: Any, tmp_path: Path) -> None:
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    repo_id = f"{hub.user}/damaged"
    api.create_repo(repo_id)
    for name in ("a.safetensors", "cfg.json"):
        api.upload_file(repo_id=repo_id, path_or_fileobj=b"\xff" * 64, path_in_repo=name)
    repository = opened(hub, repo_id, tmp_path)
    repository.prefetch(repository.files)
    with pytest.raises(MalformedSafetensors):
        repository.read_header("a.safetensors")


@pytest.mark.parametrize(
    ("action", "status"), [("status", 429), ("status", 503), ("drop_before", 500)]
)
def test_what_goes_wrong_once_is_asked_for_again(
    hub: Any,
    published: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    action: Any,
    status: int,
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", waited.append)
    repository = opened(hub, published, tmp_path)
    hub.inject(action, path="tiny_topk_L1_mixed/cfg.json", status=status, times=2)
    try:
        repository.prefetch(repository.files)
    finally:
        hub.clear_faults()
    assert repository.read_json("tiny_topk_L1_mixed/cfg.json")["k"] == 9
    assert len(waited) == 2


@pytest.mark.parametrize(
    ("action", "status", "message"),
    [("status", 429, "answered 429"), ("status", 503, "answered 503"),
     ("truncate", 500, "the connection broke")],
)  # fmt: skip
def test_a_hub_that_keeps_refusing_ends_the_run_with_a_clear_error(
    hub: Any,
    published: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    action: Any,
    status: int,
    message: str,
) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    repository = opened(hub, published, tmp_path)
    # Weights come from the hub's second port, by their digest.
    hub.inject(action, path="^/objects/", status=status, times=1000)
    try:
        with pytest.raises(HubUnavailable, match=message) as caught:
            repository.prefetch(repository.files)
    finally:
        hub.clear_faults()
    assert caught.value.exit_code == 4
    assert "signature" not in str(caught.value)
