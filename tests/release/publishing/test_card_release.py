"""What a push of the card alone reads of the SAEs that it stands beside."""

from __future__ import annotations

import hashlib
import os

import pytest
from made_release import MANIFEST, make_release

from release.publishing.card_release import card_release
from release.publishing.remote_tree import remote_tree

N_SAES = 12


@pytest.fixture
def made(tmp_path, repo_id):
    made = make_release(tmp_path, {**MANIFEST, "repo_id": repo_id})
    made.write()
    root = made.build.repository
    for name in ("README.md", "card.json", "config.json", "manifest.json"):
        (root / name).write_text("{}", encoding="utf-8")
    return made


@pytest.fixture
def saes(made) -> dict[str, bytes]:
    assert len(made.loaded.saes) == N_SAES
    return {
        f"{spec.sae_id}/{name}": content
        for spec in made.loaded.saes
        for name, content in (
            ("cfg.json", b'{"id": "%s"}' % spec.sae_id.encode()),
            ("sae_weights.safetensors", os.urandom(500)),
        )
    }


def read(made, repo_id, connection, running_hub):
    tree = remote_tree(repo_id, connection)
    before = len(running_hub.requests())
    found = card_release(made.loaded, made.build, tree, connection).beside
    return found, running_hub.requests()[before:]


def test_the_digests_are_those_of_the_hub_whatever_lies_on_disk(
    made, saes, repo_id, connection, commit, running_hub, capfd
) -> None:
    commit(**{path.replace("/", "__"): content for path, content in saes.items()})
    wanted = {path: hashlib.sha256(content).hexdigest() for path, content in saes.items()}

    found, requests = read(made, repo_id, connection, running_hub)
    assert found == wanted
    assert sum(each.path.endswith("/cfg.json") for each in requests) == N_SAES

    for path, content in saes.items():
        local = made.build.repository.joinpath(*path.split("/"))
        local.parent.mkdir(exist_ok=True)
        local.write_bytes(content)
    found, requests = read(made, repo_id, connection, running_hub)
    assert found == wanted
    assert requests == []

    other = made.loaded.saes[0].sae_id
    (made.build.repository / other / "cfg.json").write_bytes(b"another")
    found, requests = read(made, repo_id, connection, running_hub)
    assert found == wanted
    downloaded = {
        each.path.rpartition("/resolve/")[2] for each in requests if "/resolve/" in each.path
    }
    assert {path.partition("/")[2] for path in downloaded} == {f"{other}/cfg.json"}
    assert "Fetching" not in capfd.readouterr().err
