"""A mistyped verb, option, value, code or id gets the nearest one."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.errors import UsageError
from release.cli import main
from release.targets import parse_target

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    ("line", "told", "meant"),
    [
        ("vaildate x", "release has no verb 'vaildate'", "did you mean validate?"),
        ("hub srve", "release hub has no verb 'srve'", "did you mean serve?"),
        ("validate --teir load x", "release validate has no option --teir", "mean --tier?"),
        ("--verson", "release has no option --verson", "did you mean --version?"),
        ("validate --tier lod x", "--tier got 'lod'", "did you mean load?"),
        ("retrain x.yaml --engine rey", "--engine got 'rey'", "did you mean ray?"),
        ("validate x --format jsn", "--format got 'jsn'", "did you mean json?"),
        ("explain W1O2", "no check has the code 'W1O2'", "did you mean W102?"),
        ("validate x --select W1O2", "'W1O2', which fits no check", "such as W102"),
        ("status --hub embeded", "--hub got 'embeded'", "did you mean embedded?"),
        (
            "show manifests/tinylama-1-1b.yaml",
            "cannot be read",
            "did you mean manifests/tinyllama-1-1b.yaml?",
        ),
        (
            "validate manifests/tinyllama-1-1b",
            "is an id on the Hub, and a manifest",
            "did you mean manifests/tinyllama-1-1b.yaml?",
        ),
        (
            "portability manifests/tinyllama-1-1b.yaml --precisions fp32,np4",
            "no precision is called 'np4'",
            "did you mean 'nf4'?",
        ),
        (
            "retrain manifests/tinyllama-1-1b.yaml --only tinylama_topk_L3_mixed",
            "'tinylama_topk_L3_mixed' matches no SAE",
            "did you mean tinyllama_topk_L3_mixed,",
        ),
    ],
)
def test_what_was_meant_is_named(
    line: str, told: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.startswith("error: ")
    assert told in streams.err
    assert meant in streams.err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("retrain", "release retrain: missing argument 'MANIFEST'"),
        ("rollback x/y", "release rollback: missing option '--to'"),
        ("validate x --only", "release validate: option '--only' requires an argument"),
        ("retrain x.yaml --memory-gb much", "invalid value for '--memory-gb'"),
    ],
)
def test_other_usage_errors_name_the_verb_and_the_help(
    line: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert told in error
    assert f"`release {line.split()[0]} --help`" in error
    assert "Value error" not in error


def test_a_guess_is_not_made_where_nothing_is_near(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["qqqq"]) == 2
    error = capsys.readouterr().err
    assert "did you mean" not in error
    assert "`release --help` lists all" in error


def test_an_id_on_the_hub_beside_a_folder_of_its_owner_stays_one(tmp_path: Path) -> None:
    found = parse_target("manifests/of-somebody-else", manifests=tmp_path)
    assert type(found).__name__ == "HubTarget"
    with pytest.raises(UsageError):
        parse_target("manifests/study", manifests=tmp_path)


def test_a_validated_folders_ids_are_suggested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "topk_L9_mixed").mkdir()
    (tmp_path / "topk_L9_mixed" / "cfg.json").write_text("{}", encoding="utf-8")
    line = ["validate", str(tmp_path), "--tier", "static", "--only", "topk_L9_mixd"]
    assert main(line) == 2
    assert "did you mean topk_L9_mixed?" in capsys.readouterr().err


def test_a_word_that_is_no_target_is_told_how_targets_are_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["validate", "nosuch"]) == 2
    assert "next: write ./nosuch for a folder, owner/nosuch for" in capsys.readouterr().err
