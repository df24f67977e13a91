"""One push for each way to go wrong, at the upload, at the commit, and where a release starts.

`python -m benchmarks.push_faults` does the same for every kind of request that a push makes.
"""

from __future__ import annotations

import json
import os

import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from manifests.progress import Silent
from release.publishing.agreed_change import StalePlan
from release.publishing.one_commit import HeadMoved
from release.publishing.plan import PlannedFile, RepositoryPlan
from release.publishing.push import plan_push, publish_files
from release.publishing.release_files import describe_file
from release.publishing.remote_tree import remote_tree
from release.publishing.version_tags import tag_release
from validators.reading.repository import HubUnavailable

WEIGHTS = "a/sae_weights.safetensors"
UPLOAD, COMMIT, TAG = "/xorbs/|/objects/", "/commit/", "/tag/"
FAULTS = {
    "500": {"action": "status", "status": 500},
    "429": {"action": "status", "status": 429},
    "drop before": {"action": "drop_before"},
    "drop after": {"action": "drop_after"},
    "truncate": {"action": "truncate"},
}


@pytest.fixture(autouse=True)
def without_waits(monkeypatch):
    # The client waits up to 8 s before each new try; the waiting is not under test.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)


@pytest.fixture
def files(tmp_path):
    found = {}
    for name, content in {
        "README.md": b"---\nlicense: mit\n---\n# x\n",
        "a/cfg.json": b'{"k": 1}',
        WEIGHTS: os.urandom(5_000),
    }.items():
        path = tmp_path.joinpath("files", *name.split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        found[name] = describe_file(name, path)
    return found


@pytest.fixture
def publish(connection, repo_id, files):
    return lambda **how: publish_files(
        repo_id, files, connection, **{"public": True, "progress": Silent(), **how}
    )


def history(repo_id, connection) -> list[str]:
    return [each.commit_id for each in connection.api().list_repo_commits(repo_id)]


def tags(repo_id, connection) -> dict[str, str]:
    refs = connection.api().list_repo_refs(repo_id)
    return {tag.name: tag.target_commit for tag in refs.tags}


@pytest.mark.parametrize("times", [1, 1000], ids=["once", "lasting"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("path", [UPLOAD, COMMIT, TAG], ids=["upload", "commit", "tag"])
def test_a_fault_ends_with_one_commit_or_an_untouched_head(
    running_hub, connection, repo_id, files, publish, path, fault, times
) -> None:
    connection.api().create_repo(repo_id)
    (parent,) = history(repo_id, connection)
    running_hub.inject(**FAULTS[fault], method="POST|PUT", path=path, times=times)
    first = None
    try:
        first = publish()
    except HubUnavailable:
        tree = remote_tree(repo_id, connection)
        assert tree.oid == parent or not plan_push(repo_id, files, connection).sends
    finally:
        running_hub.clear_faults()
    if path == COMMIT:
        # Whether the Hub acts on a request does not depend on what becomes of its answer.
        assert (first is not None) == (fault in ("drop after", "truncate"))
    receipt = publish()
    assert history(repo_id, connection) == [receipt.commit, parent]
    assert set(remote_tree(repo_id, connection).files) == {*files, ".gitattributes"}
    assert not plan_push(repo_id, files, connection).sends
    assert tags(repo_id, connection) == {"release-1": receipt.commit}
    assert first is None or first.commit == receipt.commit


@pytest.mark.parametrize(("method", "fault"), [("PUT", "500"), ("GET", "truncate")])
def test_no_signed_url_is_logged(
    running_hub, connection, repo_id, publish, monkeypatch, caplog, method, fault
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    running_hub.inject(**FAULTS[fault], method=method, path="/objects/")
    publish()
    said = [r.getMessage() for r in caplog.records if "/objects/" in r.getMessage()]
    assert len(said) == 1
    assert all("?..." in line and "signature" not in line for line in said)


def test_an_answer_that_is_no_json_is_no_reason_to_lose_the_commit(
    connection, repo_id, publish, monkeypatch
) -> None:
    real = HfApi.create_commit

    def cut(self, *args, **kwargs):
        real(self, *args, **kwargs)
        return json.loads('{"commitOid": "12')

    monkeypatch.setattr(HfApi, "create_commit", cut)
    receipt = publish()
    assert history(repo_id, connection)[0] == receipt.commit


def test_a_card_that_the_hub_refuses_is_told_without_a_traceback(
    connection, repo_id, files, publish
) -> None:
    path = files["README.md"].path
    path.write_text("---\nlicense: no-such-license\n---\n", encoding="utf-8")
    files["README.md"] = describe_file("README.md", path)
    with pytest.raises(HubUnavailable, match="license"):
        publish()
    assert len(history(repo_id, connection)) == 1


def test_a_lost_commit_is_found_below_what_others_put_on_top(
    connection, repo_id, publish, monkeypatch
) -> None:
    real = HfApi.create_commit
    made = []

    def lost_and_built_upon(self, *args, **kwargs):
        monkeypatch.undo()
        made.append(real(self, *args, **kwargs).oid)
        theirs = CommitOperationAdd("a/cfg.json", b"theirs")
        made.append(connection.api().create_commit(repo_id, [theirs], commit_message="x").oid)
        raise ConnectionError("the answer was lost")

    monkeypatch.setattr(HfApi, "create_commit", lost_and_built_upon)
    receipt = publish()
    assert receipt.commit == made[0]
    assert history(repo_id, connection)[:2] == made[::-1]
    assert tags(repo_id, connection) == {"release-1": made[0]}


def test_a_commit_of_others_is_not_taken_for_ones_own(
    connection, repo_id, publish, monkeypatch
) -> None:
    def theirs_came_first(self, *args, **kwargs):
        monkeypatch.undo()
        theirs = CommitOperationAdd("a/cfg.json", b"theirs")
        connection.api().create_commit(repo_id, [theirs], commit_message="x")
        raise ConnectionError("the question was lost")

    monkeypatch.setattr(HfApi, "create_commit", theirs_came_first)
    with pytest.raises(HeadMoved):
        publish()
    assert set(remote_tree(repo_id, connection).files) == {".gitattributes", "a/cfg.json"}
    assert tags(repo_id, connection) == {}


@pytest.mark.parametrize("fault", ["drop after", "truncate"])
def test_a_pull_request_whose_answer_was_lost_is_found(
    running_hub, connection, repo_id, publish, fault
) -> None:
    connection.api().create_repo(repo_id)
    running_hub.inject(**FAULTS[fault], method="POST", path=COMMIT)
    receipt = publish(pull_request=True)
    (opened,) = connection.api().get_repo_discussions(repo_id)
    assert receipt.pull_request.endswith(f"/{repo_id}/discussions/{opened.num}")
    assert len(history(repo_id, connection)) == 1


def test_asking_again_for_a_pull_request_opens_no_second_one(connection, repo_id, publish) -> None:
    connection.api().create_repo(repo_id)
    first = publish(pull_request=True)
    again = publish(pull_request=True)
    assert len(list(connection.api().get_repo_discussions(repo_id))) == 1
    assert (again.commit, again.pull_request) == (first.commit, first.pull_request)


def test_a_tag_that_was_not_set_is_set_by_the_next_push(
    connection, repo_id, publish, monkeypatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("release.publishing.push.tag_release", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publish()
    assert tags(repo_id, connection) == {}
    receipt = publish()
    assert (receipt.n_commits, receipt.tag) == (0, "release-1")
    assert tags(repo_id, connection) == {"release-1": receipt.commit}


def test_a_tag_that_can_never_be_set_is_no_tag(running_hub, connection, repo_id, commit) -> None:
    oid = commit(a=b"1")
    running_hub.inject("status", status=409, method="POST", path=TAG, times=100)
    with pytest.raises(HubUnavailable, match="release-1"):
        tag_release(repo_id, oid, connection)


@pytest.fixture
def planned(repository_plan):
    """The plan that adds the files of a release."""

    def made(repo_id, files, **how) -> RepositoryPlan:
        adds = [PlannedFile(name, file.size_bytes, file.sha256) for name, file in files.items()]
        return repository_plan(repo_id, adds, **how)

    return made


def test_a_plan_of_a_new_repository_is_finished_after_an_attempt_that_only_made_it(
    running_hub, connection, repo_id, files, publish, planned
) -> None:
    plan = planned(repo_id, files)
    running_hub.inject("status", method="POST", path=COMMIT)
    with pytest.raises(HubUnavailable):
        publish(reviewed=plan)
    assert len(history(repo_id, connection)) == 1
    assert publish(reviewed=plan).n_commits == 1


def test_a_plan_of_a_new_repository_is_held_against_the_files(
    connection, repo_id, files, publish, planned
) -> None:
    other = dict(files)
    del other["README.md"]
    with pytest.raises(StalePlan, match=r"README\.md is not the file that was planned"):
        publish(reviewed=planned(repo_id, other))
    assert remote_tree(repo_id, connection) is None


def test_what_others_put_into_a_repository_while_it_is_made_stays(
    connection, repo_id, files, publish, planned, monkeypatch
) -> None:
    real = HfApi.create_repo

    def late(self: HfApi, *names: str, **how: object) -> object:
        monkeypatch.undo()
        api = connection.api()
        api.create_repo(repo_id)
        api.create_commit(
            repo_id, [CommitOperationAdd("theirs.txt", b"theirs")], commit_message="theirs"
        )
        return real(self, *names, **how)

    monkeypatch.setattr(HfApi, "create_repo", late)
    with pytest.raises(StalePlan, match="somebody else made the repository"):
        publish(reviewed=planned(repo_id, files))
    assert connection.api().list_repo_commits(repo_id)[0].title == "theirs"


def test_a_plan_of_a_new_repository_is_stale_once_others_put_something_there(
    connection, repo_id, files, publish, planned, commit
) -> None:
    commit(theirs=b"1")
    with pytest.raises(StalePlan, match="was no repository"):
        publish(reviewed=planned(repo_id, files))


def test_a_plan_with_deletions_can_be_asked_for_again(
    connection, repo_id, files, publish, planned, commit
) -> None:
    head = commit(gone=b"1", kept=b"2")
    plan = planned(repo_id, files, parent=head, is_private=False, deletes=("gone",))
    first = publish(reviewed=plan)
    again = publish(reviewed=plan)
    assert (first.deleted, first.n_commits) == (("gone",), 1)
    assert (again.deleted, again.n_commits, again.commit) == ((), 0, first.commit)


def test_a_plan_that_only_deletes_is_stale_on_another_head(
    connection, repo_id, files, publish, planned, commit
) -> None:
    publish()
    head = commit(gone=b"1")
    plan = planned(repo_id, {}, parent=head, is_private=False, deletes=("gone",))
    theirs = commit(other=b"1")
    with pytest.raises(StalePlan, match="the head was"):
        publish(reviewed=plan)
    assert remote_tree(repo_id, connection).oid == theirs
