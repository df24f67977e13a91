"""What `release report` takes, how it refuses all else, and that one damage stays with its page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_release import MANIFEST, Release, make_outcome, make_release

from release.cli import main
from release.report_page import stage


@pytest.fixture
def made(tmp_path: Path) -> Release:
    return make_release(tmp_path / "made", MANIFEST)


@pytest.fixture
def saved(made: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`report.json` in the working folder."""
    monkeypatch.chdir(tmp_path)
    made.report.write(tmp_path / "report.json")
    return tmp_path / "report.json"


def refused(capsys: Any, target: str) -> str:
    assert main(["report", target, "--out", "site", "--offline"]) == 2
    assert not Path("site").exists()
    said: str = capsys.readouterr().err
    return said


@pytest.mark.parametrize("name", ["reprt.json", "./reprt.json", "Report.Json.json"])
def test_a_saved_report_that_is_not_there_has_the_nearest_named(
    saved: Path, capsys, name: str
) -> None:
    said = refused(capsys, name)
    assert f"there is no saved report {name!r}" in said
    assert "release validate --format json" in said
    if name.endswith("reprt.json"):
        assert "did you mean report.json?" in said


def test_a_saved_report_in_a_folder_is_no_repository_of_a_hub(saved: Path, capsys) -> None:
    said = refused(capsys, "saved/report9.json")
    assert "there is no saved report 'saved/report9.json'" in said
    assert "-o report9.json" in said
    assert "Hub" not in said


def test_a_file_that_is_neither_is_told_what_is_taken(saved: Path, capsys) -> None:
    Path("myreport.txt").write_text("x", encoding="utf-8")
    said = refused(capsys, "myreport.txt")
    assert "a file, and neither a manifest nor a saved report" in said
    for taken in ("manifest (.yaml)", "saved report (.json)", "folder", "owner/name[@revision]"):
        assert taken in said


def test_a_folder_may_be_called_as_a_saved_report_is(saved: Path, capsys) -> None:
    Path("all.json").mkdir()
    saved.rename(Path("all.json") / "report.json")
    assert main(["report", "all.json", "--out", "site", "--offline"]) == 0
    assert "12 of them measured" in capsys.readouterr().out


def test_a_report_that_names_no_tier_has_its_page(saved: Path, capsys) -> None:
    report = json.loads(saved.read_text(encoding="utf-8"))
    report["checks"]["tiers"] = []
    saved.write_text(json.dumps(report), encoding="utf-8")
    assert main(["report", str(saved), "--out", "site"]) == 0
    text = Path("site/repositories/demo--tiny-saes.html").read_text(encoding="utf-8")
    assert "PASSED: 2 checks on 0 SAEs passed" in text
    assert "Checked up to" not in text


def test_a_bug_that_one_repository_meets_keeps_no_other_from_its_page(
    made: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    made.with_outcomes(make_outcome("W102", "passed")).write()
    other = {**MANIFEST, "repo_id": "demo/other", "title": "Other"}
    bad = make_release(tmp_path / "bad", other).loaded.path
    bad.rename(made.loaded.path.parent / "bad.yaml")
    page_of = stage.repository_page

    def broken(source: Any, *rest: Any) -> Any:
        if source.repo_id == "demo/other":
            raise IndexError(str(tmp_path))
        return page_of(source, *rest)

    monkeypatch.setattr(stage, "repository_page", broken)
    site = tmp_path / "site"
    places = ["--manifests", str(made.loaded.path.parent), "--build", str(made.build.root.parent)]
    assert main(["report", "--all", "--out", str(site), "--offline", *places]) == 70
    said = capsys.readouterr().err
    assert "bad.yaml has no page: this is a bug" in said
    assert "Traceback" in said
    assert (site / "repositories" / "tiny.html").is_file()
    index = (site / "index.html").read_text(encoding="utf-8")
    assert "bad.yaml has no page: sae-release met an error of its own, IndexError" in index
    assert str(tmp_path) not in index
    # Alone it has its traceback, and no pages are made of nothing.
    bad = made.loaded.path.parent / "bad.yaml"
    assert main(["report", str(bad), "--out", str(tmp_path / "b"), "--offline"]) == 70
    assert "IndexError" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
