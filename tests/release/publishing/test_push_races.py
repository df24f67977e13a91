"""Several pushes at once from the same head: one wins, and nothing of the others is seen."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError

import pytest
from huggingface_hub import HfApi

from manifests.progress import Silent
from release.publishing.one_commit import HeadMoved
from release.publishing.push import Receipt, plan_push, publish_files
from release.publishing.release_files import describe_file
from release.publishing.remote_tree import remote_tree

N = 8


def make_files(folder, number: int):
    """A release whose every file says whose it is, one of them by name."""
    found = {}
    for name, content in {
        "README.md": f"---\nlicense: mit\n---\n# {number}\n".encode(),
        "a/cfg.json": b'{"k": %d}' % number,
        "a/sae_weights.safetensors": hashlib.sha256(b"%d" % number).digest() * 200,
        f"only_{number}/cfg.json": b"{}",
    }.items():
        path = folder.joinpath(str(number), *name.split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        found[name] = describe_file(name, path)
    return found


@pytest.mark.parametrize("is_new", [True, False], ids=["first push", "later push"])
def test_of_eight_pushes_at_once_one_wins(
    tmp_path, connection, repo_id, is_new, monkeypatch
) -> None:
    before = {}
    if not is_new:
        before = make_files(tmp_path, 100)
        publish_files(repo_id, before, connection, public=True, progress=Silent())
    else:
        connection.api().create_repo(repo_id)
    parent = remote_tree(repo_id, connection).oid
    releases = [make_files(tmp_path, number) for number in range(N)]
    real, all_have_planned = HfApi.create_commit, Barrier(N)

    def together(self, *args, **kwargs):
        assert kwargs["parent_commit"] == parent
        all_have_planned.wait(timeout=60)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(HfApi, "create_commit", together)

    def pushed(files) -> Receipt | HeadMoved:
        try:
            return publish_files(repo_id, files, connection, public=True, progress=Silent())
        except HeadMoved as error:
            return error
        except BrokenBarrierError:
            pytest.fail("not all pushes came as far as the commit")

    with ThreadPoolExecutor(N) as pool:
        ends = list(pool.map(pushed, releases))
    (winner,) = (number for number, end in enumerate(ends) if isinstance(end, Receipt))
    assert sum(isinstance(end, HeadMoved) for end in ends) == N - 1

    history = [each.commit_id for each in connection.api().list_repo_commits(repo_id)]
    assert history[:2] == [ends[winner].commit, parent]
    assert len(history) == (2 if is_new else 3)
    found = plan_push(repo_id, releases[winner], connection)
    assert not found.sends
    assert set(found.stays) == {".gitattributes"} | (before.keys() - releases[winner].keys())
    refs = connection.api().list_repo_refs(repo_id)
    numbers = {tag.name: tag.target_commit for tag in refs.tags}
    assert numbers[ends[winner].tag] == ends[winner].commit
    assert len(numbers) == len(history) - 1
