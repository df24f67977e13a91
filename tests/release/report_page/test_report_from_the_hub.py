"""Pages of what a Hub holds: a named repository, and a manifest without a build on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from made_release import MANIFEST, Release, make_release

from release.cli import main
from release.embedded_hub import EmbeddedHub

REPO_ID = "demo/tiny-saes"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    with EmbeddedHub(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture(scope="module")
def published(hub: EmbeddedHub, tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, str]:
    """A manifest, and the commit with the report of it that nothing on this machine has."""
    made = make_release(tmp_path_factory.mktemp("made"), MANIFEST)
    made.report.write(made.build.report_json)
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    api.create_repo(REPO_ID)
    files = [CommitOperationAdd("report.json", made.build.report_json.read_bytes())]
    commit = api.create_commit(REPO_ID, files, commit_message="made")
    made.build.report_json.unlink()
    return made, str(commit.oid)


def page_text(site: Path, name: str) -> str:
    return (site / "repositories" / f"{name}.html").read_text(encoding="utf-8")


def test_a_named_repository_is_shown_by_the_report_that_it_publishes(
    hub: EmbeddedHub, published: tuple[Release, str], tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    site = tmp_path / "site"
    assert main(["report", REPO_ID, "--out", str(site), "--hub", hub.endpoint]) == 0
    assert "1 repository with 12 SAEs, 12 of them measured" in capsys.readouterr().out
    text = page_text(site, "demo--tiny-saes")
    assert f"Hub, commit {published[1][:12]}" in text
    assert f'href="{hub.endpoint}/{REPO_ID}"' in text
    assert hub.token not in text


def test_a_manifest_without_a_build_is_shown_as_it_is_published(
    hub: EmbeddedHub, published: tuple[Release, str], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    manifest = str(published[0].loaded.path)
    places = ["--hub", hub.endpoint, "--build", str(tmp_path / "build")]
    assert main(["report", manifest, "--out", str(tmp_path / "site"), *places]) == 0
    text = page_text(tmp_path / "site", "tiny")
    # The first SAE's 0.81, beside what only the manifest says of it.
    assert 'data-value="0.81' in text
    assert 'data-label="Architecture">Gated' in text
    assert "no such file" not in text
    offline = tmp_path / "offline"
    assert main(["report", manifest, "--out", str(offline), "--offline", *places[2:]]) == 0
    assert 'data-value="0.81' not in page_text(offline, "tiny")


def test_a_repository_that_is_not_there_has_a_page_that_says_so(
    hub: EmbeddedHub, tmp_path: Path, capsys
) -> None:
    site = tmp_path / "site"
    assert main(["report", "demo/nothing", "--out", str(site), "--hub", hub.endpoint]) == 4
    assert "The repository could not be read" in page_text(site, "demo--nothing")
    assert "no answer" in page_text(site, "demo--nothing")
    assert "demo/nothing" in capsys.readouterr().err
