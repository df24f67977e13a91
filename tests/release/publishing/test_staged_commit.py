"""A release of more files than one commit carries well: staged in parts, visible in one step."""

from __future__ import annotations

import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError

from manifests.progress import Silent
from release.embedded_hub import EmbeddedHub
from release.hub_connection import HubConnection
from release.publishing import one_commit
from release.publishing.one_commit import HeadMoved
from release.publishing.plan import Plan, PlannedFile
from release.publishing.plan_text import plan_text
from release.publishing.push import plan_push, publish_files
from release.publishing.release_files import describe_file
from release.publishing.remote_tree import remote_tree
from release.publishing.rollback import plan_rollback, roll_back
from release.publishing.staged_commit import MergedWithOthers
from validators.reading.repository import HubUnavailable

FOR_EVER = 10**6


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(one_commit, "MAX_OPERATIONS", 2)
    # The client waits up to 8 s before each new try; the waiting is not under test.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)


@pytest.fixture
def new_files(tmp_path):
    """Five files of random content, three parts: a card, and two SAEs."""

    def made(name="files"):
        found = {}
        for path_in_repo, content in {
            "README.md": b"---\nlicense: mit\n---\n# %d\n" % len(list(tmp_path.iterdir())),
            **{f"sae_{n}/cfg.json": b'{"k": "%s"}' % os.urandom(4).hex().encode() for n in "ab"},
            **{f"sae_{n}/sae_weights.safetensors": os.urandom(3_000) for n in "ab"},
        }.items():
            path = tmp_path.joinpath(name, *path_in_repo.split("/"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            found[path_in_repo] = describe_file(path_in_repo, path)
        return found

    return made


@pytest.fixture
def files(new_files):
    return new_files()


@pytest.fixture
def publish(connection, repo_id, files):
    connection.api().create_repo(repo_id)
    return partial(publish_files, repo_id, files, connection, public=True, progress=Silent())


def history(repo_id, connection, revision="main") -> list[str]:
    commits = connection.api().list_repo_commits(repo_id, revision=revision)
    return [each.commit_id for each in commits]


def pull_requests(repo_id, connection) -> list[str]:
    found = connection.api().get_repo_discussions(repo_id, discussion_type="pull_request")
    return [each.status for each in found]


def commits_of(repo_id, hub, since=0) -> list[str]:
    """The refs that were committed to."""
    paths = [each.path for each in hub.requests()[since:] if f"{repo_id}/commit/" in each.path]
    return [path.rpartition("/")[2] for path in paths]


def test_a_large_release_is_staged_and_seen_as_one_commit(
    running_hub, connection, repo_id, files, publish
) -> None:
    (parent,) = history(repo_id, connection)
    receipt = publish()
    assert history(repo_id, connection) == [receipt.commit, parent]
    assert commits_of(repo_id, running_hub) == ["refs%2Fpr%2F1"] * 3
    assert set(remote_tree(repo_id, connection).files) == {*files, ".gitattributes"}
    assert not plan_push(repo_id, files, connection).sends
    assert (receipt.n_commits, receipt.tag, receipt.pull_request) == (1, "release-1", None)
    assert pull_requests(repo_id, connection) == ["merged"]
    merge = connection.api().list_repo_commits(repo_id)[0]
    assert merge.title.startswith("Release 5 files with sae-release ")
    assert [line.split(": ")[1][:11] for line in merge.message.splitlines()] == [
        f"part {number} of 3" for number in (1, 2, 3)
    ]


def test_a_release_that_one_commit_carries_is_not_staged(
    running_hub, connection, repo_id, publish, monkeypatch
) -> None:
    monkeypatch.setattr(one_commit, "MAX_OPERATIONS", 5)
    publish()
    assert commits_of(repo_id, running_hub) == ["main"]
    assert pull_requests(repo_id, connection) == []


def test_a_staged_pull_request_stays_open_and_is_found_again(connection, repo_id, publish) -> None:
    first = publish(pull_request=True)
    again = publish(pull_request=True)
    assert (first.tag, first.commit) == (None, history(repo_id, connection, "refs/pr/1")[0])
    assert (again.commit, again.pull_request) == (first.commit, first.pull_request)
    assert pull_requests(repo_id, connection) == ["open"]
    assert len(history(repo_id, connection)) == 1
    merged = publish()
    assert pull_requests(repo_id, connection) == ["merged"]
    assert history(repo_id, connection)[0] == merged.commit


def n_requests(hub, publish) -> int:
    before = len(hub.requests())
    publish()
    return len(hub.requests()) - before


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        {"action": "status", "status": 500},
        {"action": "drop_before", "times": FOR_EVER},
        {"action": "drop_after", "times": FOR_EVER},
    ],
    ids=["500", "killed before the Hub acts", "killed after it has"],
)
def test_a_fault_at_any_request_ends_with_one_commit_or_an_untouched_head(
    running_hub, connection, repo_id, new_files, fault
) -> None:
    """For the Hub a push that was killed is one whose every request is lost from there on."""

    def one_push(name, nth=None):
        repository, files = f"{repo_id[:40]}-{uuid.uuid4().hex[:8]}-{name}", new_files(name)
        connection.api().create_repo(repository)
        (parent,) = history(repository, connection)
        push = partial(publish_files, repository, files, connection, public=True, progress=Silent())
        if nth is None:
            return n_requests(running_hub, push)
        running_hub.inject(**fault, nth=nth)
        try:
            push()
        except HubUnavailable:
            running_hub.clear_faults()
            tree = remote_tree(repository, connection)
            assert tree.oid == parent or not plan_push(repository, files, connection).sends, nth
        running_hub.clear_faults()
        receipt = push()
        assert history(repository, connection) == [receipt.commit, parent], nth
        assert set(remote_tree(repository, connection).files) == {*files, ".gitattributes"}
        assert not plan_push(repository, files, connection).sends
        assert receipt.tag == "release-1"
        assert pull_requests(repository, connection) == ["merged"], nth
        return 0

    one_push("first")
    for nth in range(1, one_push("clean") + 1):
        one_push(f"at-{nth}", nth)


@pytest.mark.parametrize("fault", ["status", "drop_before", "drop_after", "truncate"])
@pytest.mark.parametrize(
    "path",
    ["/discussions$", "/commit/", "/status$", "/merge$"],
    ids=["open", "part", "publish", "merge"],
)
def test_each_step_decides_from_what_the_hub_holds(
    running_hub, connection, repo_id, files, publish, path, fault
) -> None:
    (parent,) = history(repo_id, connection)
    running_hub.inject(fault, method="POST", path=path, nth=2 if path == "/commit/" else 1)
    first = None
    try:
        first = publish()
    except HubUnavailable:
        assert remote_tree(repo_id, connection).oid == parent
    # Whether the Hub acts on a request does not depend on what becomes of its answer.
    assert (first is not None) == (fault in ("drop_after", "truncate"))
    receipt = publish()
    assert history(repo_id, connection) == [receipt.commit, parent]
    assert not plan_push(repo_id, files, connection).sends
    assert pull_requests(repo_id, connection) == ["merged"]


def test_an_attempt_that_broke_off_is_continued(running_hub, connection, repo_id, publish) -> None:
    running_hub.inject("status", method="POST", path="/commit/", nth=3, times=FOR_EVER)
    with pytest.raises(HubUnavailable, match="500"):
        publish()
    running_hub.clear_faults()
    assert pull_requests(repo_id, connection) == ["draft"]
    with pytest.raises(HfHubHTTPError):
        connection.api().merge_pull_request(repo_id, 1)
    before = len(running_hub.requests())
    publish()
    assert commits_of(repo_id, running_hub, before) == ["refs%2Fpr%2F1"]
    assert pull_requests(repo_id, connection) == ["merged"]


def others(connection, repo_id, path="theirs.txt") -> str:
    theirs = CommitOperationAdd(path, b"theirs")
    return connection.api().create_commit(repo_id, [theirs], commit_message="x").oid


@pytest.mark.parametrize(
    "step", ["create_pull_request", "change_discussion_status", "merge_pull_request"]
)
def test_a_head_that_moves_while_it_is_staged_is_refused(
    connection, repo_id, files, publish, monkeypatch, step
) -> None:
    """Theirs comes right before a step; at the merge both changed one file, so the Hub refuses."""
    real = getattr(HfApi, step)

    def after_theirs(self, *args, **kwargs):
        monkeypatch.setattr(HfApi, step, real)
        others(connection, repo_id, "sae_a/cfg.json")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(HfApi, step, after_theirs)
    with pytest.raises(HeadMoved, match="moved from"):
        publish()
    assert set(remote_tree(repo_id, connection).files) == {".gitattributes", "sae_a/cfg.json"}
    assert "open" not in pull_requests(repo_id, connection)
    receipt = publish()
    assert len(history(repo_id, connection)) == 3
    assert history(repo_id, connection)[0] == receipt.commit
    assert not plan_push(repo_id, files, connection).sends
    assert sorted(pull_requests(repo_id, connection)) == ["closed", "merged"]


def test_a_merge_onto_a_commit_of_the_same_moment_is_told(
    connection, repo_id, files, publish, monkeypatch
) -> None:
    real = HfApi.merge_pull_request

    def after_theirs(self, *args, **kwargs):
        others(connection, repo_id)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(HfApi, "merge_pull_request", after_theirs)
    with pytest.raises(MergedWithOthers, match="together with"):
        publish()
    assert set(remote_tree(repo_id, connection).files) == {*files, ".gitattributes", "theirs.txt"}
    assert publish().n_commits == 0


def test_a_draft_for_a_former_head_is_closed(
    running_hub, connection, repo_id, files, publish
) -> None:
    running_hub.inject("status", method="POST", path="/commit/", nth=2, times=FOR_EVER)
    with pytest.raises(HubUnavailable):
        publish()
    running_hub.clear_faults()
    theirs = others(connection, repo_id)
    receipt = publish()
    assert history(repo_id, connection)[:2] == [receipt.commit, theirs]
    assert pull_requests(repo_id, connection) == ["merged", "closed"]


def test_a_draft_of_others_with_the_same_title_is_not_used(
    running_hub, connection, repo_id, publish
) -> None:
    publish_draft = partial(publish, pull_request=True)
    running_hub.inject("status", method="POST", path="/commit/", nth=2, times=FOR_EVER)
    with pytest.raises(HubUnavailable):
        publish_draft()
    running_hub.clear_faults()
    repository = running_hub._opened().repositories.find("model", repo_id)
    repository.discussions[0]["author"] = "stranger"
    publish()
    assert pull_requests(repo_id, connection) == ["merged", "draft"]


def test_a_pull_request_that_somebody_added_to_is_closed_and_not_merged(
    running_hub, connection, repo_id, files, publish
) -> None:
    running_hub.inject("status", method="POST", path="/status$", times=FOR_EVER)
    with pytest.raises(HubUnavailable):
        publish()
    running_hub.clear_faults()
    connection.api().create_commit(
        repo_id,
        [CommitOperationAdd("more.txt", b"x")],
        commit_message="more",
        revision="refs/pr/1",
    )
    with pytest.raises(HubUnavailable, match="something else than was sent"):
        publish()
    assert set(remote_tree(repo_id, connection).files) == {".gitattributes"}
    publish()
    assert pull_requests(repo_id, connection) == ["merged", "closed"]
    assert set(remote_tree(repo_id, connection).files) == {*files, ".gitattributes"}


def test_a_card_that_the_hub_refuses_is_told_before_the_rest_is_sent(
    running_hub, connection, repo_id, files, publish
) -> None:
    path = files["README.md"].path
    path.write_text("---\nlicense: no-such-license\n---\n", encoding="utf-8")
    files["README.md"] = describe_file("README.md", path)
    with pytest.raises(HubUnavailable, match="license"):
        publish()
    assert commits_of(repo_id, running_hub) == []
    assert len(history(repo_id, connection)) == 1


def test_a_large_rollback_is_staged_too(
    running_hub, connection, repo_id, files, new_files, publish
) -> None:
    publish()
    before = remote_tree(repo_id, connection)
    others(connection, repo_id, "sae_c/cfg.json")
    publish_files(repo_id, new_files("next"), connection, public=True, progress=Silent())
    head = remote_tree(repo_id, connection).oid
    plan = plan_rollback(repo_id, "release-1", connection)
    assert (len(plan.restores), plan.deletes) == (5, ("sae_c/cfg.json",))
    oid = roll_back(plan, connection, progress=Silent())
    assert history(repo_id, connection)[:2] == [oid, head]
    assert remote_tree(repo_id, connection).files == before.files


def test_a_token_of_keyless_publishing_stages_and_merges(tmp_path, files, new_files) -> None:
    with EmbeddedHub(tmp_path / "hub") as hub:
        from release.embedded_hub.trusted_publishing import write_token

        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        repo_id = f"{hub.user}/keyless"
        api.create_repo(repo_id)
        token = write_token(hub._opened().accounts.signing_key, repo_id)
        connection = HubConnection(hub.endpoint, token)
        hub.inject("status", method="POST", path="/commit/", nth=2)
        push = partial(publish_files, repo_id, files, connection, public=True, progress=Silent())
        with pytest.raises(HubUnavailable):
            push()
        receipt = push()
        assert receipt.commit == api.repo_info(repo_id).sha
        assert [each.status for each in api.get_repo_discussions(repo_id)] == ["merged"]
        assert api.list_repo_commits(repo_id)[0].authors == ["[OIDC]"]


@pytest.mark.parametrize("step", ["create_pull_request", "merge_pull_request"])
def test_of_eight_staged_pushes_at_once_one_wins(
    connection, repo_id, new_files, monkeypatch, step
) -> None:
    connection.api().create_repo(repo_id)
    (parent,) = history(repo_id, connection)
    releases = [new_files(f"release-{number}") for number in range(8)]
    real, all_are_there = getattr(HfApi, step), Barrier(8)

    def together(self, *args, **kwargs):
        all_are_there.wait(timeout=120)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(HfApi, step, together)

    def pushed(files):
        try:
            return publish_files(repo_id, files, connection, public=True, progress=Silent())
        except HeadMoved as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(pushed, releases))
    (winner,) = (number for number, end in enumerate(ends) if not isinstance(end, HeadMoved))
    assert history(repo_id, connection) == [ends[winner].commit, parent]
    assert not plan_push(repo_id, releases[winner], connection).sends
    assert sorted(pull_requests(repo_id, connection))[-1] == "merged"
    assert pull_requests(repo_id, connection).count("merged") == 1


@pytest.mark.parametrize(("n_files", "parts"), [(250, None), (251, 2), (501, 3)])
def test_a_plan_says_when_a_release_is_staged(repository_plan, n_files, parts) -> None:
    adds = [PlannedFile(f"{number}.json", 1, "0" * 64) for number in range(n_files)]
    plan = repository_plan("someone/saes", adds)
    text = plan_text(Plan(endpoint="http://hub", repositories=(plan,)))
    assert ("staged in" in text) is (parts is not None)
    assert parts is None or f"staged in {parts} parts" in text
