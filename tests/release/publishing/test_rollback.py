from __future__ import annotations

import os

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from manifests.errors import UsageError
from manifests.progress import Silent
from release.cli import main
from release.publishing.one_commit import HeadMoved
from release.publishing.remote_tree import remote_tree
from release.publishing.rollback import plan_rollback, roll_back

WEIGHTS = "a/sae_weights.safetensors"


@pytest.fixture
def two_states(connection, repo_id, commit):
    """A repository whose first state was tagged, and whose second differs in every way."""
    api = connection.api()
    api.create_repo(repo_id)
    old = os.urandom(40_000)
    state = api.create_commit(
        repo_id,
        [
            CommitOperationAdd(WEIGHTS, old),
            CommitOperationAdd("README.md", b"---\nlicense: mit\n---\n# first\n"),
            CommitOperationAdd("gone.txt", b"was here\n"),
        ],
        commit_message="first",
    ).oid
    api.create_tag(repo_id, tag="release-1", revision=state)
    api.create_commit(
        repo_id,
        [
            CommitOperationAdd(WEIGHTS, os.urandom(40_000)),
            CommitOperationAdd("README.md", b"---\nlicense: mit\n---\n# second\n"),
            CommitOperationAdd("new.txt", b"new\n"),
            CommitOperationDelete("gone.txt"),
        ],
        commit_message="second",
    )
    return state


def test_a_rollback_is_one_commit_with_the_former_files(connection, repo_id, two_states) -> None:
    before = remote_tree(repo_id, connection)
    plan = plan_rollback(repo_id, "release-1", connection)
    assert set(plan.restores) == {WEIGHTS, "README.md", "gone.txt"}
    assert plan.deletes == ("new.txt",)
    oid = roll_back(plan, connection, progress=Silent())
    after = remote_tree(repo_id, connection)
    assert after.oid == oid
    assert after.files == remote_tree(repo_id, connection, revision=two_states).files
    history = [each.commit_id for each in connection.api().list_repo_commits(repo_id)]
    assert history[:2] == [oid, before.oid]


def test_rolling_back_to_what_is_there_makes_no_commit(connection, repo_id, two_states) -> None:
    roll_back(plan_rollback(repo_id, "release-1", connection), connection, progress=Silent())
    again = plan_rollback(repo_id, "release-1", connection)
    assert not again.has_changes
    assert roll_back(again, connection, progress=Silent()) == again.head.oid


def test_weights_are_copied_on_the_hub(connection, repo_id, two_states, running_hub) -> None:
    seen = len(running_hub.requests())
    roll_back(plan_rollback(repo_id, "release-1", connection), connection, progress=Silent())
    sent = sum(request.bytes_in for request in running_hub.requests()[seen:])
    assert sent < 40_000


def test_a_head_that_moved_is_not_rolled_back(connection, repo_id, two_states, commit) -> None:
    plan = plan_rollback(repo_id, "release-1", connection)
    theirs = commit(theirs=b"x")
    with pytest.raises(HeadMoved, match="moved from"):
        roll_back(plan, connection, progress=Silent())
    assert remote_tree(repo_id, connection).oid == theirs


def test_a_lost_answer_is_recognised(connection, repo_id, two_states, running_hub) -> None:
    running_hub.inject("drop_after", method="POST", path="/commit/", nth=1)
    plan = plan_rollback(repo_id, "release-1", connection)
    oid = roll_back(plan, connection, progress=Silent())
    assert remote_tree(repo_id, connection).oid == oid
    assert remote_tree(repo_id, connection).files == plan.target.files


def test_what_is_not_there_is_said(connection, repo_id, two_states) -> None:
    with pytest.raises(UsageError, match="no such revision"):
        plan_rollback(repo_id, "release-9", connection)
    with pytest.raises(UsageError, match="no such repository"):
        plan_rollback("demo/never-made", "release-1", connection)


def test_the_command_rolls_back_and_says_so(
    connection, repo_id, two_states, capsys, monkeypatch, tmp_path
) -> None:
    monkeypatch.setenv("HF_TOKEN", connection.token)
    arguments = ["rollback", repo_id, "--to", "release-1", "--hub", connection.endpoint, "--yes"]
    assert main([*arguments, "--build", str(tmp_path)]) == 0
    assert "3 files restored, 1 deleted" in capsys.readouterr().out
    assert main([*arguments, "--build", str(tmp_path)]) == 0
    assert "no commit" in capsys.readouterr().out
