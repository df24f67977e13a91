"""A study's page pushed from the command line, and the Hub collection that lists its members."""

from __future__ import annotations

import json
import re

import pytest

from manifests.progress import Silent
from release.cli import main
from release.gate import NotReady
from release.publishing.collection_page import push_page
from release.publishing.push import PushOptions

SUMMARY = "SAEs on two models, all in their own repositories. " + "This page counts them. " * 8
STUDY = """\
defaults: {license: mit}
base_models:
  one: {id: a/one, n_layers: 2, d_model: 4}
  two: {id: a/two, n_layers: 2, d_model: 4}
"""


@pytest.fixture
def study(tmp_path, repo_id, connection, monkeypatch, capsys):
    """A collection of two members, of which one is on the Hub, and the commands on it."""
    shelf, builds = tmp_path / "shelf", tmp_path / "builds"
    shelf.mkdir()
    (shelf / "study.yaml").write_text(STUDY, encoding="utf-8")
    member = repo_id[:85]
    connection.api().create_repo(f"{member}-one")
    monkeypatch.setenv("HF_TOKEN", connection.token)

    class Study:
        title = f"Study {re.sub(r'[^a-z]', '', repo_id)[-30:]}"
        one, two = f"{member}-one", f"{member}-two"
        path = shelf / "all.yaml"
        out = err = ""

        def write(self, *, n_saes: int = 3, **hub: str) -> None:
            lines = [
                *("kind: collection", "schema_version: 1", f"repo_id: {repo_id}"),
                *(f"title: {self.title}", f"summary: {SUMMARY}", "study: study.yaml"),
                *(f"hub: {json.dumps(hub)}", "members:"),
                f"- {{base_model: one, repo_id: {self.one}, reported_n_saes: {n_saes}, source: x}}",
                f"- {{base_model: two, repo_id: {self.two}, reported_n_saes: 1, source: x}}",
            ]
            self.path.write_text("\n".join(lines) + "\n", encoding="utf-8")

        def run(self, verb: str, *options: str, hub: bool = True) -> int:
            capsys.readouterr()
            where = ("--hub", connection.endpoint) if hub else ()
            code = main([verb, str(self.path), "--build", str(builds), *where, *options])
            self.out, self.err = capsys.readouterr()
            return code

        def render(self) -> None:
            assert self.run("render", hub=False) == 0

        def listed(self) -> tuple[object, list[tuple[str, str | None]]]:
            api = connection.api()
            slugs = [c.slug for c in api.list_collections(owner="demo") if c.title == self.title]
            assert len(slugs) == 1
            found = api.get_collection(slugs[0])
            return found, [(item.item_id, item.note) for item in found.items]

    made = Study()
    made.write(collection=made.title)
    return made


def test_a_page_is_pushed_in_one_commit_and_its_members_are_listed(
    study, connection, repo_id
) -> None:
    study.render()
    assert study.run("plan", "--detailed-exitcode") == 5
    assert f"  * collection {study.title}: there is none -> made\n" in study.out
    assert "3 files to add" in study.out
    assert study.run("push", "--yes") == 0, study.err
    assert (
        f"  collection {study.title}: does not list {study.one} -> lists {study.one}" in study.out
    )
    api = connection.api()
    assert len(api.list_repo_commits(repo_id)) == 2
    assert {"README.md", "card.json", "config.json"} < set(api.list_repo_files(repo_id))
    found, items = study.listed()
    # 3 + 1 SAEs; the second member is not on the Hub.
    assert items == [(repo_id, "4 SAEs in 2 repositories"), (study.one, "3 SAEs on a/one")]
    assert (found.private, len(found.description)) == (True, len(found.description.strip()))
    assert found.description.startswith("SAEs on two models, all in their own repositories. This")
    assert found.description.endswith("This page counts them.")
    assert study.run("plan", "--detailed-exitcode") == 0
    assert "Nothing would change" in study.out


def test_a_member_that_came_and_a_number_that_changed_follow_with_the_next_push(
    study, connection
) -> None:
    study.render()
    assert study.run("push", "--yes") == 0
    connection.api().create_repo(study.two)
    study.write(n_saes=5, collection=study.title)
    study.render()
    assert study.run("push", "--yes") == 0, study.err
    _, items = study.listed()
    assert [note for _, note in items] == [
        "6 SAEs in 2 repositories",
        "5 SAEs on a/one",
        "1 SAE on a/two",
    ]


def test_title_and_description_of_a_collection_named_by_its_slug_follow(study, connection) -> None:
    slug = connection.api().create_collection("Old", namespace="demo").slug
    study.write(collection=slug)
    study.render()
    assert study.run("push", "--yes") == 0, study.err
    found, _ = study.listed()
    assert found.slug.rpartition("-")[2] == slug.rpartition("-")[2]
    assert (found.title, bool(found.description)) == (study.title, True)


def test_a_page_is_public_only_when_both_say_so(study, connection, repo_id) -> None:
    study.write(collection=study.title, visibility="public")
    study.render()
    assert study.run("push", "--yes") == 0
    assert connection.api().model_info(repo_id).private is True
    assert "left as it is without --public: visibility: private -> public" in study.out
    assert study.run("push", "--yes", "--public") == 0
    assert connection.api().model_info(repo_id).private is False


def test_a_page_that_is_not_rendered_or_stale_is_not_pushed(study, connection, repo_id) -> None:
    assert study.run("push", "--yes") == 1
    assert "release render" in study.err
    study.render()
    study.write(n_saes=9, collection=study.title)
    assert study.run("plan") == 1
    assert "would be refused: README.md is not what rendering gives now" in study.out
    assert study.run("push", "--yes") == 1
    assert "config.json is not what rendering gives now" in study.err
    assert not connection.api().repo_exists(repo_id)


def test_the_cards_alone_make_no_repository(study, connection, repo_id) -> None:
    study.render()
    assert study.run("push", "--yes", "--cards-only") == 1
    assert "there is no repository yet" in study.err
    options = PushOptions(cards_only=True)
    builds = study.path.parents[1] / "builds"
    with pytest.raises(NotReady, match="there is no repository yet") as caught:
        push_page(study.path, builds, connection, options=options, progress=Silent())
    assert caught.value.next_step == f"release push {study.path.as_posix()}"
    assert not connection.api().repo_exists(repo_id)


def test_status_tells_a_page_that_is_absent_published_stale_or_not_listed(study, repo_id) -> None:
    assert study.run("status", "--exit-code") == 1
    assert study.out.split()[:2] == ["absent", repo_id]
    study.render()
    assert study.run("push", "--yes") == 0
    assert study.run("status", "--exit-code") == 0
    assert study.out.split()[:2] == ["published", repo_id]
    study.write(collection=f"{study.title} other")
    assert study.run("status", "--exit-code") == 1
    assert study.out.startswith("settings ")
    assert f"collection {study.title} other: there is none\n" in study.out
    study.write(n_saes=9, collection=study.title)
    assert study.run("status", "--exit-code") == 1
    assert study.out.startswith("out of date ")


def test_every_page_that_was_rendered_is_pushed_with_all(study, connection, repo_id) -> None:
    study.render()
    everything = ["push", "--all", "--yes", "--manifests", str(study.path.parent)]
    places = ["--build", str(study.path.parents[1] / "builds"), "--hub", connection.endpoint]
    (study.path.parent / "never_built.yaml").write_text("repo_id: x/y\n", encoding="utf-8")
    assert main([*everything, *places]) == 0
    assert len(connection.api().list_repo_commits(repo_id)) == 2
