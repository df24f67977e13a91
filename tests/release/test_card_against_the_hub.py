"""`release render --against hub`: the card that a Hub shows, beside what rendering gives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from made_release import MANIFEST, Release, make_release

from manifests.build_folder import BuildFolder
from manifests.load import load_manifest
from manifests.progress import Silent
from release.cli import main
from release.embedded_hub import EmbeddedHub
from release.hub_connection import HubConnection
from release.publishing.push import publish_files
from release.publishing.release_files import describe_file

CARD = ("README.md", "config.json", "card.json", "manifest.json", "figures/figures.json")


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    with EmbeddedHub(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture
def release(tmp_path: Path, request: pytest.FixtureRequest) -> Release:
    """A rendered build whose repository on the Hub is the test's own."""
    repo_id = f"demo/{request.node.name[:60].strip('_').replace('[', '-').strip(']')}"
    made = make_release(tmp_path / "shelf", {**MANIFEST, "repo_id": repo_id})
    path = made.loaded.path.rename(tmp_path / "shelf" / "first.yaml")
    build = BuildFolder(tmp_path / "builds" / "first")
    found = replace(made, loaded=load_manifest(path), build=build).write()
    assert main(["render", str(path), "--build", str(tmp_path / "builds")]) == 0
    return found


@pytest.fixture
def command(
    release: Release, hub: EmbeddedHub, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Ended]:  # fmt: skip
    monkeypatch.setenv("HF_TOKEN", hub.token)
    capsys.readouterr()

    def run(*options: str, endpoint: str = hub.endpoint) -> Ended:
        places = ("--build", str(tmp_path / "builds"), "--against", "hub", "--hub", endpoint)
        code = main(["render", str(release.loaded.path), *places, *options])
        found = capsys.readouterr()
        return Ended(code, found.out, " ".join(found.err.split()))

    return run


def publish(release: Release, hub: EmbeddedHub) -> None:
    folder = release.build.repository
    files = {
        name: describe_file(name, folder / name)
        for name in sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    }
    publish_files(
        release.loaded.manifest.repo_id,
        files,
        HubConnection(hub.endpoint, hub.token),
        public=True,
        progress=Silent(),
    )


def test_a_card_that_is_published_as_rendered_is_not_stale(command, release, hub) -> None:
    publish(release, hub)
    ended = command("--check")
    assert (ended.code, ended.err) == (0, "")
    assert "has the card that rendering gives now" in " ".join(ended.out.split())


def test_a_repository_that_is_not_there_is_said_so_and_everything_is_new(command) -> None:
    ended = command("--check")
    assert ended.code == 1
    said = " ".join(ended.out.split())
    assert "the Hub has no repository demo/" in said and "are new" in said
    assert "--- README.md (on the Hub)\n+++ README.md (rendered now)\n" in ended.out
    assert "\n+# Tiny SAEs\n" in ended.out
    assert "\nfigures/sparsity.svg: it is not on the Hub\n" in ended.out
    assert command("--diff").code == 0


def test_what_changed_since_the_push_is_shown_and_nothing_is_written(
    command, release, hub, tmp_path: Path
) -> None:
    publish(release, hub)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    release.with_metric("tiny_topk_L1_mixed", "explained_variance", value=0.123).write()
    changed = {release.build.report_json, release.build.training_json}
    ended = command("--check")
    assert ended.code == 1 and "\n+" in ended.out and "0.123" in ended.out
    assert "figures/sparsity.svg: on the Hub it is of other numbers" in ended.out
    assert "stale at" in " ".join(ended.out.split())
    assert command("--diff").code == 0
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert {p for p in after if after[p] != before.get(p)} <= changed


def test_a_figure_that_nothing_stands_behind_is_stale(command, release, hub) -> None:
    index = release.build.repository / "figures" / "figures.json"
    drawn = json.loads(index.read_bytes())
    drawn["figures"]["figures/older.svg"] = drawn["figures"]["figures/sparsity.svg"]
    index.write_text(json.dumps(drawn), encoding="utf-8")
    publish(release, hub)
    ended = command("--check")
    assert ended.code == 1
    assert "figures/older.svg: on the Hub it shows what no source has" in ended.out


def test_where_the_blocks_were_run_makes_no_card_stale(command, release, hub) -> None:
    card = release.build.card_json
    original = card.read_bytes()
    card.write_text(json.dumps({**json.loads(original), "blocks": {"a": 1}}), encoding="utf-8")
    publish(release, hub)
    card.write_bytes(original)
    assert command("--check").code == 0
    card.write_text(json.dumps({**json.loads(original), "tool_version": "0"}), encoding="utf-8")
    publish(release, hub)
    assert "\n-" in command("--check").out


def test_without_a_report_here_the_published_numbers_are_named_as_lost(
    command, release, hub
) -> None:
    publish(release, hub)
    shutil.rmtree(release.build.root)
    ended = command("--check")
    assert ended.code == 1
    assert "has a report, and nothing was measured here" in ended.err
    assert "described by the manifest" in " ".join(ended.out.split())


def test_a_hub_that_cannot_be_reached_is_no_stale_card(command, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    # Nothing listens on the discard port of this machine.
    ended = command("--check", endpoint="http://127.0.0.1:9")
    assert ended.code == 4 and "http://127.0.0.1:9" in ended.err


def test_a_hub_that_breaks_down_is_no_stale_card(command, release, hub, monkeypatch) -> None:
    publish(release, hub)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    hub.inject("status", status=500, path="/tree/", times=20)
    try:
        assert command("--check").code == 4
    finally:
        hub.clear_faults()


def test_the_embedded_hub_is_started_where_it_is_named(command, release, tmp_path: Path) -> None:
    ended = command("--check", endpoint="embedded")
    assert ended.code == 1 and "are new" in " ".join(ended.out.split())
    assert (tmp_path / "builds" / "hub").is_dir()
