"""Starting, stopping, persistence, and what happens when two servers want the same thing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download

from release.embedded_hub import EmbeddedHub, HubRootInUse, PortInUse, serve


def test_everything_is_there_after_a_restart_on_another_port(tmp_path):
    weights = os.urandom(4000)
    with EmbeddedHub(tmp_path / "root") as hub:
        first_endpoint, token, read_token = hub.endpoint, hub.token, hub.read_token
        repo = f"{hub.user}/kept"
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        api.create_repo(repo, private=True)
        made = api.create_commit(
            repo, [CommitOperationAdd("w.safetensors", weights)], commit_message="kept"
        )
        api.create_tag(repo, tag="v1", tag_message="annotated")
        api.create_discussion(repo, title="kept too")
        slug = api.create_collection("kept", namespace=hub.user).slug
        api.add_collection_item(slug, repo, "model")
    first_port = int(first_endpoint.rpartition(":")[2])
    # The first port is held, so that the system cannot give it again.
    with socket.create_server(("127.0.0.1", first_port)), EmbeddedHub(tmp_path / "root") as hub:
        assert hub.endpoint != first_endpoint
        assert (hub.token, hub.read_token) == (token, read_token)
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        info = api.model_info(repo, revision="v1")
        assert (info.sha, info.private) == (made.oid, True)
        path = hf_hub_download(
            repo, "w.safetensors", endpoint=hub.endpoint, token=hub.token, cache_dir=tmp_path
        )
        assert Path(path).read_bytes() == weights
        assert next(iter(api.get_repo_discussions(repo))).title == "kept too"
        assert [item.item_id for item in api.get_collection(slug).items] == [repo]


def test_nothing_stored_names_a_port(tmp_path):
    with EmbeddedHub(tmp_path / "root") as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        repo = f"{hub.user}/r"
        api.create_repo(repo)
        api.upload_file(path_or_fileobj=b"\0weights", path_in_repo="w.bin", repo_id=repo)
        api.create_discussion(repo, title="a question", description="of ports")
        api.create_collection("a collection", namespace=hub.user)
        port = hub.endpoint.rpartition(":")[2].encode()
    for path in (tmp_path / "root").rglob("*.json*"):
        assert b"127.0.0.1:" + port not in path.read_bytes(), path


def test_a_second_server_on_the_same_root_is_refused(tmp_path):
    with (
        EmbeddedHub(tmp_path / "root"),
        pytest.raises(HubRootInUse, match="already serving"),
    ):
        EmbeddedHub(tmp_path / "root").start()
    with EmbeddedHub(tmp_path / "root") as hub:
        assert hub.endpoint


def test_a_taken_port_is_named_and_the_root_stays_free(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match="--port 0") as caught:
            serve(tmp_path / "root", port)
        assert str(port) in str(caught.value)
        assert caught.value.exit_code == 4
    with EmbeddedHub(tmp_path / "root") as hub:
        assert hub.endpoint


def test_a_hub_that_is_not_running_says_so(tmp_path):
    with pytest.raises(RuntimeError, match="not running"):
        _ = EmbeddedHub(tmp_path / "root").endpoint


def test_importing_the_package_does_not_load_the_server():
    code = "import sys, release.embedded_hub; print('uvicorn' in sys.modules)"
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == "False"


SERVE = """
import sys
from pathlib import Path
from release.embedded_hub import serve
serve(Path(sys.argv[1]), 0, lambda endpoint, token: print(endpoint, token, flush=True))
"""


class Served:
    """A hub in a process of its own."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(root)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout is not None
        self.endpoint, self.token = self.process.stdout.readline().split()
        self.api = HfApi(endpoint=self.endpoint, token=self.token)

    def end(self, signal_number: int) -> None:
        self.process.send_signal(signal_number)
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_another_process_cannot_open_a_served_root(tmp_path, client_environment):
    served = Served(tmp_path / "root", client_environment)
    try:
        with pytest.raises(HubRootInUse):
            EmbeddedHub(tmp_path / "root").start()
    finally:
        served.end(signal.SIGTERM)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process there")
def test_serving_ends_cleanly_on_ctrl_c(tmp_path, client_environment):
    served = Served(tmp_path / "root", client_environment)
    assert served.api.whoami()["name"] == "researcher"
    served.end(signal.SIGINT)
    assert served.process.returncode == 0


@pytest.mark.parametrize("delay_s", [0.0, 0.01, 0.03])
def test_a_killed_server_leaves_the_old_head_or_the_new_one(tmp_path, client_environment, delay_s):
    served = Served(tmp_path / "root", client_environment)
    api, repo = served.api, "researcher/r"
    api.create_repo(repo)
    files = {f"f{number}.txt": b"first" for number in range(40)}
    first = api.create_commit(
        repo, [CommitOperationAdd(path, text) for path, text in files.items()], commit_message="1"
    )
    # The second commit is sent by hand, so that the kill can fall in the middle of it.
    body = b'{"key":"header","value":{"summary":"2"}}\n' + b"".join(
        b'{"key":"file","value":{"path":"f%d.txt","content":"second"}}\n' % n for n in range(40)
    )
    port = int(served.endpoint.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            b"POST /api/models/researcher/r/commit/main HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            + f"Authorization: Bearer {served.token}\r\n".encode()
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        time.sleep(delay_s)
        served.process.kill()
        served.end(signal.SIGTERM)
    with EmbeddedHub(tmp_path / "root") as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        titles = [commit.title for commit in api.list_repo_commits(repo)]
        assert titles in (["1", "initial commit"], ["2", "1", "initial commit"])
        sizes = {file.size for file in api.list_repo_tree(repo) if file.path.startswith("f")}
        assert sizes == ({5} if titles[0] == "1" else {6})
        again = api.create_commit(
            repo, [CommitOperationAdd("f0.txt", b"third time")], commit_message="3"
        )
        assert api.model_info(repo).sha == again.oid != first.oid


def test_what_a_kill_leaves_behind_is_cleaned_up(tmp_path):
    with EmbeddedHub(tmp_path / "root") as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        api.create_repo(f"{hub.user}/r")
    root = tmp_path / "root"
    (git,) = (root / "repositories").glob("*/git")
    (git / "refs" / "heads" / "main.lock").write_bytes(b"")
    (root / "incoming" / "half.part").write_bytes(b"half")
    (root / "repositories" / "unfinished" / "git").mkdir(parents=True)
    with EmbeddedHub(root) as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=f"{hub.user}/r")
        assert [model.id for model in api.list_models(author=hub.user)] == [f"{hub.user}/r"]
    assert list((root / "incoming").iterdir()) == []
    assert not (root / "repositories" / "unfinished").exists()
