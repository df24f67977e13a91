"""The folder of --out: what is written to it, what goes, and what is refused before all else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from made_release import MANIFEST, Release, make_release

from manifests.errors import UsageError
from release.cli import main
from release.report_page import stage
from release.report_page.site import INDEX, UnusableFolder, refuse_unusable, write_site


@pytest.fixture
def made(tmp_path: Path) -> Release:
    return make_release(tmp_path / "made", MANIFEST)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def list_also(site: Path, *paths: str) -> None:
    """Let a former run's list name other paths too."""
    index = json.loads((site / INDEX).read_text(encoding="utf-8"))
    index["files"] += paths
    (site / INDEX).write_text(json.dumps(index), encoding="utf-8")


def test_a_page_of_a_former_run_goes_and_files_of_others_stay(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_site(site, {"index.html": b"1", "repositories/a.html": b"a"})
    (site / "CNAME").write_text("example.org", encoding="utf-8")
    outside = tmp_path / "outside.html"
    outside.write_bytes(b"mine")
    list_also(site, "../outside.html", "CNAME", str(outside))
    write_site(site, {"index.html": b"2"})
    names = {path.relative_to(site).as_posix() for path in files(site)}
    assert names == {"index.html", INDEX, "CNAME"}
    assert outside.read_bytes() == b"mine"


def test_a_list_that_names_folders_takes_none_away(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_site(site, {"index.html": b"1", "assets/a.js": b"a"})
    kept = site / "repositories" / "notes"
    kept.mkdir(parents=True)
    (kept / "mine.txt").write_text("x", encoding="utf-8")
    list_also(site, "assets/.", "repositories/..", "assets/..", "repositories/notes")
    write_site(site, {"index.html": b"2"})
    names = {path.relative_to(site).as_posix() for path in files(site)}
    assert names == {"index.html", INDEX, "repositories/notes/mine.txt"}


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match="no report page"):
        write_site(tmp_path, {"index.html": b""})
    assert [path.name for path in files(tmp_path)] == ["thesis.tex"]


def test_a_folder_that_cannot_be_used_is_refused_before_anything_is_read(
    made: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(stage, "connect", lambda *_, **__: pytest.fail("a Hub was asked"))
    monkeypatch.setattr(stage, "_read", lambda *_: pytest.fail("a target was read"))
    (tmp_path / "thesis.tex").write_text("x", encoding="utf-8")
    command = ["report", str(made.loaded.path), "--out"]
    assert main([*command, str(tmp_path)]) == 2
    assert "holds files, and no report page" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "thesis.tex")]) == 2
    assert "--out is a file" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "thesis.tex" / "a" / "b")]) == 2
    said = capsys.readouterr().err
    assert "is below the file" in said
    assert "Traceback" not in said
    assert "next:" in said


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no folder that refuses files")
def test_a_folder_that_takes_no_files_is_refused_with_what_to_do(made: Release, capsys) -> None:
    assert main(["report", str(made.loaded.path), "--offline", "--out", "/proc/zz"]) == 2
    said = capsys.readouterr().err
    assert "the pages cannot be written" in said
    assert "name another folder with --out" in said
    assert "Traceback" not in said


def test_looking_whether_a_folder_can_be_used_leaves_nothing_there(tmp_path: Path) -> None:
    refuse_unusable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    write_site(tmp_path / "site", {"index.html": b"1"})
    before = files(tmp_path)
    refuse_unusable(tmp_path / "site")
    assert files(tmp_path) == before


def test_what_the_system_refuses_while_writing_is_told(tmp_path: Path) -> None:
    # Somebody's folder where a page of ours has to go; and, on a full disk, any error at all.
    (tmp_path / "site" / "index.html").mkdir(parents=True)
    (tmp_path / "site" / INDEX).write_text(
        json.dumps({"format": "sae-release.report-page/1", "files": []}), encoding="utf-8"
    )
    with pytest.raises(UnusableFolder) as caught:
        write_site(tmp_path / "site", {"index.html": b"1"})
    assert "index.html" in str(caught.value.where)
    assert caught.value.expected and caught.value.next_step


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "{}", '{"format": "x"}', "\ud800"])
def test_a_list_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / INDEX).write_bytes(text.encode("utf-8", "surrogatepass"))
    assert sys.getrecursionlimit() < 100_000
    with pytest.raises(UnusableFolder, match="no report page"):
        refuse_unusable(tmp_path)
