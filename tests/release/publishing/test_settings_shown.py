"""Settings in the plan and in `release status`, of a manifest and a release on the embedded Hub."""

from __future__ import annotations

import json

import pytest
import yaml
from made_release import MANIFEST, Release, make_release

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.digests import file_sha256
from manifests.load import load_manifest
from manifests.progress import Silent
from release.cli import main
from release.publishing.plan import Plan, RepositoryPlan, read_plan, write_plan
from release.publishing.plan_text import plan_text
from release.publishing.planning import plan_release
from release.publishing.push import publish_files
from release.publishing.release_files import describe_file
from release.publishing.setting_change import SettingChange

REPO = "demo/settings-shown"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Release:
    """A rendered build with stand-ins for its weights; rendering takes seconds."""
    folder = tmp_path_factory.mktemp("settings")
    made = make_release(folder / "shelf", {**MANIFEST, "repo_id": REPO}).write()
    for sae in made.loaded.saes:
        made.build.sae_folder(sae.sae_id).mkdir(parents=True)
        for name in (SAE_CONFIG, SAE_WEIGHTS):
            (made.build.sae_folder(sae.sae_id) / name).write_text("{}", encoding="utf-8")
    assert main(["render", str(made.loaded.path), "--build", str(made.build.root.parent)]) == 0
    name_the_stand_ins(made.build)
    return made


def name_the_stand_ins(build: BuildFolder) -> None:
    """Let the index and the card name the weights that lie there, not those of the report."""
    index = json.loads((build.repository / "config.json").read_bytes())
    for sae in index["saes"]:
        sae["sha256"] = {
            name: file_sha256(build.sae_folder(sae["sae_id"]) / name) for name in sae["sha256"]
        }
    (build.repository / "config.json").write_text(json.dumps(index), encoding="utf-8")
    card = json.loads(build.card_json.read_bytes())
    card["files"]["config.json"] = file_sha256(build.repository / "config.json")
    build.card_json.write_text(json.dumps(card), encoding="utf-8")


@pytest.fixture
def published(rendered, connection):
    """Its files on the Hub, and a function that states other settings in its manifest."""
    folder = rendered.build.repository
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    files = {name: describe_file(name, folder / name) for name in names}
    publish_files(REPO, files, connection, public=False, progress=Silent())
    path = rendered.loaded.path
    text = path.read_text(encoding="utf-8")

    def state(**stated: object):
        hub = yaml.safe_dump({"hub": stated}) if stated else ""
        path.write_text(f"{text}\n{hub}", encoding="utf-8")
        return load_manifest(path), rendered.build

    yield state
    path.write_text(text, encoding="utf-8")
    connection.api().delete_repo(REPO)


@pytest.fixture
def status(published, connection, monkeypatch, capsys):
    """`release status --exit-code` of the manifest with other settings: exit code and output."""

    def run(**stated: object) -> tuple[int, str]:
        loaded, build = published(**stated)
        monkeypatch.setenv("HF_TOKEN", connection.token)
        capsys.readouterr()
        options = ("--hub", connection.endpoint, "--build", str(build.root.parent), "--exit-code")
        code = main(["status", str(loaded.path), *options])
        return code, capsys.readouterr().out

    return run


def plan_of(published, connection, **stated: object) -> RepositoryPlan:
    loaded, build = published(**stated)
    return plan_release(loaded, build, connection, cards_only=True)


def test_a_plan_shows_each_setting_that_would_change(published, connection) -> None:
    stated = {"visibility": "public", "gated": "manual", "collection": "SAEs in a plan"}
    found = plan_of(published, connection, **stated)
    text = plan_text(Plan(connection.endpoint, (found,)))
    assert "  * visibility: private -> public (only with --public)\n" in text
    assert "  * gated: false -> manual\n" in text
    assert "  * collection SAEs in a plan: there is none -> made\n" in text
    assert f"-> lists {found.repo_id}\n" in text
    assert text.endswith(f"No commit on {connection.endpoint}: 4 settings changed.")
    assert (found.has_commit, found.has_changes) == (False, True)
    assert "no changes" not in text


def test_a_plan_says_that_a_public_repository_becomes_private(published, connection) -> None:
    connection.api().update_repo_settings(REPO, visibility="public")
    found = plan_of(published, connection, visibility="private")
    assert "  * visibility: public -> private\n" in plan_text(Plan("x", (found,)))


def test_a_plan_without_settings_changes_nothing(published, connection) -> None:
    found = plan_of(published, connection)
    assert (found.settings, found.has_changes) == ((), False)
    assert plan_text(Plan("x", (found,))).endswith("Nothing would change on x.")


def test_settings_are_kept_with_the_plan(published, connection, tmp_path) -> None:
    found = plan_of(published, connection, gated="auto", visibility="public")
    write_plan(Plan("x", (found,)), tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json").repositories == (found,)
    assert found.settings == (
        SettingChange("visibility", "private", "public", needs_public=True),
        SettingChange("gated", "false", "auto"),
    )


def test_a_collection_that_is_not_there_refuses_the_push(published, connection) -> None:
    slug = "demo/nothing-64f9a55bb3115b4f513ec026"
    found = plan_of(published, connection, collection=slug)
    assert f"hub.collection names {slug}, which the Hub does not know" in found.refusals


def test_a_setting_makes_neither_report_nor_card_stale(published, connection) -> None:
    before = plan_of(published, connection)
    after = plan_of(published, connection, visibility="public", gated="auto")
    assert (after.refusals, after.changes) == (before.refusals, before.changes)


def test_status_says_which_setting_is_not_as_the_manifest_says(status) -> None:
    code, out = status(visibility="public", gated="manual", collection="SAEs of a status")
    assert code == 1
    assert out.startswith("settings ")
    assert "visibility: private on the Hub, public in the manifest\n" in out
    assert "gated: false on the Hub, manual in the manifest\n" in out
    assert "collection SAEs of a status: there is none\n" in out


def test_status_finds_nothing_where_settings_agree_or_are_left_out(status) -> None:
    for stated in ({}, {"visibility": "private", "gated": False}):
        code, out = status(**stated)
        assert (code, out.split()[0], len(out.splitlines())) == (0, "published", 1), out


def test_status_says_when_the_hub_shows_another_license(connection, repo_id, status) -> None:
    connection.api().upload_file(
        path_or_fileobj=b"---\nlicense: cc-by-nc-4.0\n---\n# x\n",
        path_in_repo="README.md",
        repo_id=REPO,
    )
    code, out = status()
    assert (code, out.split()[0]) == (1, "changed")
    assert f"license: cc-by-nc-4.0 on the Hub, {MANIFEST['license']} in the manifest\n" in out
