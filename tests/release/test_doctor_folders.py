"""`release doctor` on folders: room, permission, and what Windows has to be told."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from release.doctor.examination import examination
from release.doctor.folders import (
    LEAST_FREE_BYTES,
    Place,
    folder_line,
    nearest_there,
    places,
    shown_bytes,
    size_of,
)
from release.doctor.line import Line, State
from release.doctor.windows import can_link, windows_lines

STAT = Path.stat


def refuse(monkeypatch: pytest.MonkeyPatch, folder: Path, error: type[OSError]) -> None:
    """Let the system refuse a look at a folder and all below it, and at nothing else."""

    def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if folder in (path, *path.parents):
            number = errno.EACCES if error is PermissionError else errno.ENOENT
            raise error(number, os.strerror(number), str(path))
        return STAT(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat)


def test_folders_are_judged_by_room_and_whether_they_can_be_written_to(tmp_path: Path) -> None:
    place = Place("models", tmp_path / "hub" / "deep", "HF_HOME")

    def judged(free: int, writable: bool = True) -> Line:
        return folder_line(place, free_bytes=lambda _: free, is_writable=lambda _: writable)

    roomy = judged(LEAST_FREE_BYTES)
    assert (roomy.state, roomy.mend) == (State.OK, None)
    assert "not there yet, 10.0 GB free" in roomy.found
    full = judged(LEAST_FREE_BYTES - 1)
    assert (full.state, full.mend) == (State.NOTE, "move it with HF_HOME")
    locked = judged(LEAST_FREE_BYTES, writable=False)
    assert locked.state is State.BROKEN
    assert f"{tmp_path} cannot be written to" in locked.found
    (tmp_path / "hub").write_text("a file", encoding="utf-8")
    assert "is no folder" in judged(LEAST_FREE_BYTES).found


def test_sizes_count_files_and_not_what_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "a").write_bytes(b"x" * 1000)
    (tmp_path / "inner" / "b").write_bytes(b"x" * 234)
    assert size_of(tmp_path) == (1234, True)
    assert size_of(tmp_path, most_entries=1) == (1000, False)
    assert [shown_bytes(n) for n in (999, 1234, 2_500_000, 3 * 10**12)] == [
        "999 B",
        "1.2 kB",
        "2.5 MB",
        "3.0 TB",
    ]


def test_windows_is_told_what_to_turn_on_and_others_nothing(tmp_path: Path) -> None:
    def lines(long: bool, links: bool, platform: str = "win32") -> list[Line]:
        return windows_lines(
            tmp_path, platform=platform, has_long_paths=lambda: long, can_link=lambda _: links
        )

    assert [line.state for line in lines(True, True)] == [State.OK, State.OK]
    off = lines(False, False)
    assert [line.state for line in off] == [State.NOTE, State.NOTE]
    assert "LongPathsEnabled" in (off[0].mend or "")
    assert "Developer Mode" in (off[1].mend or "")
    assert lines(False, False, platform="linux") == []


@pytest.mark.parametrize(
    ("variable", "mend"),
    [("HF_HOME", "move it with HF_HOME"), ("", "let this user read it and write to it")],
)
def test_a_folder_that_may_not_be_looked_into_is_broken_and_says_how_to_go_on(
    variable: str, mend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, tmp_path, PermissionError)
    found = folder_line(Place("models", tmp_path / "hub", variable))
    assert (found.state, found.mend) == (State.BROKEN, mend)
    why = os.strerror(errno.EACCES)
    assert found.found == f"{tmp_path / 'hub'} cannot be looked into ({why})"


def test_a_disk_that_cannot_be_measured_is_broken(tmp_path: Path) -> None:
    def stale(path: Path) -> int:
        raise OSError(errno.EIO, "Input/output error")

    found = folder_line(Place("models", tmp_path, "HF_HOME"), free_bytes=stale)
    assert found.state is State.BROKEN
    assert "cannot be looked into (Input/output error)" in found.found


def test_a_drive_that_is_not_there_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(tmp_path.anchor)
    refuse(monkeypatch, root, FileNotFoundError)
    assert nearest_there(tmp_path) is None
    found = folder_line(Place("models", tmp_path, "HF_HOME"))
    assert found == Line(
        "models", State.BROKEN, f"{tmp_path}: there is no such drive", "move it with HF_HOME"
    )
    assert folder_line(Place("cache", tmp_path, "")).mend == f"connect {root}"
    assert can_link(tmp_path) is None


def test_a_folder_on_a_missing_drive_ends_no_other_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("_packages", "_torch", "_quantiser"):
        monkeypatch.setattr(f"release.doctor.examination.{part}", list)
    topics = [place.topic for place in places(tmp_path)]
    refuse(monkeypatch, Path(tmp_path.anchor), FileNotFoundError)
    found = list(examination(None, build=tmp_path, offline=True))
    states = [line.state for line in found if line.topic in topics]
    assert states == [State.BROKEN] * 4
    assert [line.topic for line in found][:4] == topics


def test_the_nearest_folder_is_above_a_file_and_above_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert nearest_there(tmp_path / "no" / "such") == tmp_path
    assert nearest_there(tmp_path / "file" / "below") == tmp_path / "file"


def test_without_a_folder_to_try_there_is_no_line_on_links(tmp_path: Path) -> None:
    found = windows_lines(
        tmp_path, platform="win32", has_long_paths=lambda: True, can_link=lambda _: None
    )
    assert [line.topic for line in found] == ["long paths"]


def test_a_link_is_tried_in_a_folder_and_not_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert can_link(tmp_path / "file") is False
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
