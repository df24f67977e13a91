"""Large files by LFS and by xet, from several processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, HfApi

from release.embedded_hub import EmbeddedHub
from release.embedded_hub.errors import Refusal
from release.embedded_hub.xet_store import disjoint_runs, parse_shard

CLIENT = """
import sys
from huggingface_hub import HfApi, hf_hub_download
verb, endpoint, token, repo, path, local = sys.argv[1:]
if verb == "upload":
    HfApi(endpoint=endpoint, token=token).upload_file(
        path_or_fileobj=local, path_in_repo=path, repo_id=repo)
else:
    print(hf_hub_download(repo, path, endpoint=endpoint, token=token, local_dir=local))
"""


def run_client(environment, verb, hub, repo, path, local):
    arguments = [verb, hub.endpoint, hub.token, repo, path, str(local)]
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(os.urandom(700_000))
    return path


@pytest.mark.parametrize("uploader", ["xet", "lfs"])
@pytest.mark.parametrize("downloader", ["xet", "lfs"])
def test_what_one_protocol_uploads_the_other_downloads(
    hub, hub_repo, client_environment, tmp_path, weights, uploader, downloader
):
    environments = {
        "xet": client_environment,
        "lfs": client_environment | {"HF_HUB_DISABLE_XET": "1"},
    }
    before = len(hub.requests())
    run_client(environments[uploader], "upload", hub, hub_repo, "a/w.safetensors", weights)
    run_client(environments[downloader], "download", hub, hub_repo, "a/w.safetensors", tmp_path)
    assert (tmp_path / "a" / "w.safetensors").read_bytes() == weights.read_bytes()
    uploads = {
        "xet" if "/xorbs/" in entry.path else "lfs"
        for entry in hub.requests()[before:]
        if entry.origin == "storage" and entry.status == 200 and entry.bytes_in > 700_000 - 1
    }
    assert uploads == {uploader}


def test_a_large_file_is_uploaded_in_parts(tmp_path, client_environment, weights):
    with EmbeddedHub(
        tmp_path / "root", xet=False, multipart_from_bytes=500_000, part_size_bytes=300_000
    ) as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        repo = f"{hub.user}/parts"
        api.create_repo(repo)
        environment = client_environment | {"HF_HUB_DISABLE_XET": "1"}
        run_client(environment, "upload", hub, repo, "w.safetensors", weights)
        parts = [
            entry.bytes_in
            for entry in hub.requests()
            if entry.path.startswith("/objects/") and "/parts/" in entry.path
        ]
        assert sorted(parts) == [100_000, 300_000, 300_000]
        (file,) = api.get_paths_info(repo, ["w.safetensors"])
        assert file.lfs.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
        assert file.xet_hash is None
        assert list((tmp_path / "root" / "incoming").iterdir()) == []


def test_without_xet_a_client_that_insists_is_refused(tmp_path, client_environment, weights):
    with EmbeddedHub(tmp_path / "root", xet=False) as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        api.create_repo(f"{hub.user}/r")
        arguments = ["upload", hub.endpoint, hub.token, f"{hub.user}/r", "w.bin", str(weights)]
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, *arguments],
            env=client_environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode != 0
        assert "xet-write-token" in done.stderr


def test_an_uploaded_file_is_copied_to_another_repository_by_its_xet_hash(hub, hub_api, hub_repo):
    content = os.urandom(2000)
    hub_api.upload_file(path_or_fileobj=content, path_in_repo="w.bin", repo_id=hub_repo)
    target = f"{hub_repo}-copy"
    hub_api.create_repo(target)
    hub_api.create_commit(
        target,
        [CommitOperationCopy("w.bin", "v.bin", src_repo_id=hub_repo, src_repo_type="model")],
        commit_message="copy",
    )
    (file,) = hub_api.get_paths_info(target, ["v.bin"])
    assert file.lfs.sha256 == hashlib.sha256(content).hexdigest()


def test_parts_of_earlier_files_are_found_again(hub, hub_api, hub_repo, tmp_path):
    first = os.urandom(400_000)
    second = first[:200_000] + b"changed" + first[200_000:]
    for name, content in (("1.bin", first), ("2.bin", second)):
        hub_api.create_commit(hub_repo, [CommitOperationAdd(name, content)], commit_message=name)
    for name, content in (("1.bin", first), ("2.bin", second)):
        path = hub_api.hf_hub_download(hub_repo, name, cache_dir=tmp_path)
        with open(path, "rb") as stream:  # noqa: PTH123
            assert stream.read() == content


@pytest.mark.parametrize("n_bytes", [8 * 2**20, 8 * 2**20 + 2, 3 * 2**20 + 1])
def test_a_file_that_repeats_itself_survives(hub, hub_api, hub_repo, tmp_path, n_bytes):
    """Its runs of chunks overlap: many times the first one, then the first with the last."""
    content = (b"ab" * (n_bytes // 2 + 1))[:n_bytes]
    hub_api.upload_file(path_or_fileobj=content, path_in_repo="w.bin", repo_id=hub_repo)
    found = hub_api.hf_hub_download(hub_repo, "w.bin", cache_dir=tmp_path)
    assert Path(found).read_bytes() == content


@pytest.mark.parametrize(
    ("runs", "disjoint"),
    [
        ([(0, 1), (0, 1), (0, 2)], [(0, 2)]),
        ([(3, 4), (0, 1)], [(0, 1), (3, 4)]),
        ([(0, 1), (1, 2)], [(0, 1), (1, 2)]),
        ([(0, 9), (2, 3), (8, 10)], [(0, 10)]),
        ([], []),
    ],
)
def test_no_chunk_is_in_two_of_the_runs_to_fetch(runs, disjoint):
    assert disjoint_runs(runs) == disjoint


@pytest.mark.parametrize("content", [b"", b"not a shard at all", b"HFRepoMetaData\0" + b"\0" * 80])
def test_bytes_that_are_no_shard_are_refused(content):
    with pytest.raises(Refusal):
        parse_shard(content)
