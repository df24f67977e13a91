"""`release convert`: what a former check found, in another form and with its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_release import MANIFEST, Release, make_outcome, make_release

from release.cli import main


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return make_release(tmp_path / "made", MANIFEST).write()


def test_a_saved_report_is_shown_in_every_form(release: Release, capsys) -> None:
    path = str(release.build.report_json)
    beginnings = {
        "text": "",
        "json": "{",
        "junit": "<?xml",
        "sarif": "{",
        "github": "::notice",
        "markdown": "## demo/tiny\\-saes",
    }
    for form, beginning in beginnings.items():
        assert main(["convert", path, "--format", form]) == 0
        assert capsys.readouterr().out.startswith(beginning), form
    assert main(["convert", path, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(Path(path).read_bytes())


def test_it_ends_as_the_check_did(release: Release, tmp_path: Path, capsys) -> None:
    failed = release.with_outcomes(make_outcome("W102", "failed")).write()
    out = tmp_path / "summary.md"
    command = ["convert", str(failed.build.report_json), "--format", "markdown"]
    assert main([*command, "--output", str(out)]) == 1
    assert "| W102 | failed |" in out.read_text(encoding="utf-8")
    skipped = release.with_outcomes(make_outcome("W102", "skipped")).write()
    assert main(["convert", str(skipped.build.report_json)]) == 3
    capsys.readouterr()
    assert main(["convert", str(tmp_path / "nothing.json")]) != 0
    assert "cannot be read" in capsys.readouterr().err
