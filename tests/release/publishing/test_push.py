"""Pushing with the real client to the embedded Hub, with faults on the way."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd

from manifests.digests import file_sha256
from manifests.progress import Silent
from release.embedded_hub import EmbeddedHub
from release.hub_connection import HubConnection
from release.publishing.one_commit import HeadMoved
from release.publishing.push import Receipt, plan_push, publish_files
from release.publishing.read_back import ReadBackMismatch, read_back
from release.publishing.release_files import ReleaseFile, describe_file
from validators.reading.repository import HubUnavailable

REPO = "demo/saes"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with EmbeddedHub(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture
def repo_id(hub, request) -> str:
    """A repository of the test's own, so that tests share one server."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return f"demo/{words[-90:].strip('-')}"


@pytest.fixture
def connection(hub) -> HubConnection:
    hub.clear_faults()
    return HubConnection(hub.endpoint, hub.token)


def make_files(folder: Path, **contents: bytes) -> dict[str, ReleaseFile]:
    files = {}
    for name, content in {
        "README.md": b"---\nlicense: mit\n---\n# x\n",
        "a/cfg.json": b'{"k": 1}',
        "a/sae_weights.safetensors": os.urandom(40_000),
        "b/sae_weights.safetensors": os.urandom(40_000),
        **contents,
    }.items():
        path = folder / Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        files[name] = describe_file(name, path)
    return files


def publish(repo_id: str, files, connection: HubConnection) -> Receipt:
    return publish_files(repo_id, files, connection, public=True, progress=Silent())


def commits(repo_id: str, connection: HubConnection) -> list[str]:
    return [c.commit_id for c in connection.api().list_repo_commits(repo_id)]


def test_a_push_is_one_commit_that_holds_every_file(tmp_path, hub, connection, repo_id) -> None:
    files = make_files(tmp_path)
    before = len(hub.requests())
    receipt = publish(repo_id, files, connection)
    calls = [r for r in hub.requests()[before:] if r.method == "POST" and "/commit/" in r.path]
    assert len(calls) == 1
    assert receipt.n_commits == 1
    assert commits(repo_id, connection) == [receipt.commit, receipt.parent]
    assert not plan_push(repo_id, files, connection).sends


def test_pushing_again_makes_no_commit_and_sends_nothing(tmp_path, connection, repo_id) -> None:
    files = make_files(tmp_path)
    first = publish(repo_id, files, connection)
    again = publish(repo_id, files, connection)
    assert (again.commit, again.n_commits, again.sent_files) == (first.commit, 0, 0)


def test_a_changed_file_alone_is_sent(tmp_path, connection, repo_id) -> None:
    publish(repo_id, make_files(tmp_path / "1"), connection)
    old = {p.name: p for p in (tmp_path / "1" / "a").iterdir()}
    files = make_files(
        tmp_path / "2",
        **{
            "a/sae_weights.safetensors": old["sae_weights.safetensors"].read_bytes(),
            "b/sae_weights.safetensors": (
                tmp_path / "1" / "b" / "sae_weights.safetensors"
            ).read_bytes(),
            "a/cfg.json": b'{"k": 2}',
        },
    )
    receipt = publish(repo_id, files, connection)
    assert (receipt.sent_files, receipt.sent_bytes) == (1, len(b'{"k": 2}'))


def test_a_new_repository_is_private_unless_asked_otherwise(tmp_path, connection, repo_id) -> None:
    publish_files(repo_id, make_files(tmp_path), connection, public=False, progress=Silent())
    assert connection.api().repo_info(repo_id).private is True


def test_a_head_that_moved_in_between_is_never_overwritten(
    tmp_path, hub, connection, repo_id, monkeypatch
) -> None:
    files = make_files(tmp_path)
    api = connection.api()
    api.create_repo(repo_id)
    real = type(api).preupload_lfs_files

    def somebody_else_commits_first(self, *args, **kwargs):
        real(self, *args, **kwargs)
        monkeypatch.undo()
        other = CommitOperationAdd("other.txt", b"theirs")
        connection.api().create_commit(repo_id, [other], commit_message="theirs")

    monkeypatch.setattr(type(api), "preupload_lfs_files", somebody_else_commits_first)
    with pytest.raises(HeadMoved, match="moved from"):
        publish(repo_id, files, connection)
    assert connection.api().list_repo_files(repo_id) == [".gitattributes", "other.txt"]


def test_a_lost_answer_after_the_commit_is_recognised(tmp_path, hub, connection, repo_id) -> None:
    files = make_files(tmp_path)
    connection.api().create_repo(repo_id)
    hub.inject("drop_after", method="POST", path="/commit/", nth=1)
    receipt = publish(repo_id, files, connection)
    assert receipt.n_commits == 1
    assert commits(repo_id, connection) == [receipt.commit, receipt.parent]


@pytest.mark.parametrize("path", ["/commit/", "/preupload/", "/tree/", "/api/models/"])
def test_a_hub_that_answers_500_leaves_the_head_untouched(
    tmp_path, hub, connection, repo_id, path, monkeypatch
) -> None:
    # The client waits up to 8 s before each new try; the waiting is not under test.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    files = make_files(tmp_path)
    connection.api().create_repo(repo_id)
    head = commits(repo_id, connection)
    hub.inject("status", status=500, path=path, times=20)
    with pytest.raises(HubUnavailable) as caught:
        publish(repo_id, files, connection)
    hub.clear_faults()
    assert caught.value.exit_code == 4
    assert "500" in str(caught.value)
    assert commits(repo_id, connection) == head
    assert publish(repo_id, files, connection).n_commits == 1


def test_a_byte_that_differs_on_the_hub_is_noticed(tmp_path, connection, repo_id) -> None:
    files = make_files(tmp_path)
    receipt = publish(repo_id, files, connection)
    name = "a/sae_weights.safetensors"
    content = bytearray(files[name].path.read_bytes())
    content[17] ^= 1
    files[name].path.write_bytes(bytes(content))
    changed = files | {name: describe_file(name, files[name].path)}
    with pytest.raises(ReadBackMismatch, match="a/sae_weights"):
        read_back(repo_id, receipt.commit, changed, connection, progress=Silent())


def test_a_file_that_is_absent_on_the_hub_is_noticed(tmp_path, connection, repo_id) -> None:
    files = make_files(tmp_path)
    receipt = publish(repo_id, files, connection)
    more = make_files(tmp_path, **{"c/cfg.json": b"{}"})
    with pytest.raises(ReadBackMismatch, match=r"c/cfg\.json is absent"):
        read_back(repo_id, receipt.commit, more, connection, progress=Silent())


def test_a_name_that_is_a_pattern_means_itself(tmp_path, connection, repo_id) -> None:
    files = make_files(tmp_path, **{"x[12]/cfg.json": b"{}"})
    receipt = publish(repo_id, files, connection)
    assert "x[12]/cfg.json" in receipt.sha256
    connection.api().upload_file(
        path_or_fileobj=b"another", path_in_repo="x1/cfg.json", repo_id=repo_id
    )
    read_back(repo_id, receipt.commit, files, connection, progress=Silent())


def test_what_does_not_come_back_is_told_with_the_way_back(
    tmp_path, connection, repo_id, monkeypatch
) -> None:
    first = publish(repo_id, make_files(tmp_path / "1"), connection)
    files = make_files(tmp_path / "2")
    name = "a/cfg.json"
    monkeypatch.setattr(
        "release.publishing.read_back.file_sha256",
        lambda path: "0" * 64 if path.as_posix().endswith(name) else file_sha256(path),
    )
    with pytest.raises(ReadBackMismatch) as caught:
        publish(repo_id, files, connection)
    assert f"{name} has sha256 {'0' * 12}" in str(caught.value)
    way_back = f"release rollback {repo_id} --to {first.tag} --hub {connection.endpoint}"
    assert f"{way_back}, then mend it" in str(caught.value)


def test_a_wrong_token_is_told_without_being_shown(tmp_path, hub) -> None:
    wrong = HubConnection(hub.endpoint, "hf_wrongtoken1234567890")
    with pytest.raises(HubUnavailable) as caught:
        publish("demo/wrong-token", make_files(tmp_path), wrong)
    assert "hf_wrongtoken1234567890" not in str(caught.value)
    assert "log in" in str(caught.value)


KILLED_PUSH = """
    import os, signal, sys
    from pathlib import Path
    from manifests.progress import Silent
    from release.hub_connection import HubConnection
    from release.publishing.push import publish_files
    from release.publishing.release_files import describe_file
    from huggingface_hub import HfApi

    endpoint, token, repo_id, folder, moment = sys.argv[1:]
    files = {
        name: describe_file(name, path)
        for path in sorted(Path(folder).rglob("*")) if path.is_file()
        for name in [path.relative_to(folder).as_posix()]
    }
    real = getattr(HfApi, moment)
    def die(self, *args, **kwargs):
        if os.environ["DIE"] == "after":
            real(self, *args, **kwargs)
        os._exit(9)
    setattr(HfApi, moment, die)
    publish_files(repo_id, files, HubConnection(endpoint, token), public=True, progress=Silent())
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["create_repo", "preupload_lfs_files", "create_commit"])
@pytest.mark.parametrize("die", ["before", "after"])
def test_a_push_that_was_killed_finishes_with_one_commit(
    tmp_path, hub, connection, moment, die
) -> None:
    repo_id = f"demo/killed-{moment.replace('_', '-')}-{die}"
    files = make_files(tmp_path)
    killed = subprocess.run(
        [
            *(sys.executable, "-c", textwrap.dedent(KILLED_PUSH)),
            *(hub.endpoint, hub.token, repo_id, str(tmp_path), moment),
        ],
        env=os.environ | {"DIE": die},
        check=False,
    )
    assert killed.returncode == 9
    receipt = publish(repo_id, files, connection)
    assert len(commits(repo_id, connection)) == 2
    assert not plan_push(repo_id, files, connection).sends
    assert receipt.n_commits == (0 if (moment, die) == ("create_commit", "after") else 1)
