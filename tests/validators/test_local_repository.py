"""A folder is read within its bounds and within itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.digests import bytes_sha256
from validators.reading.local_repository import LocalRepository
from validators.reading.repository import NoSuchRepository, UnreadableFile, stays_inside


def test_files_are_listed_sorted_with_sizes_and_without_git(tmp_path: Path) -> None:
    for name, content in (("b.txt", "bb"), ("a/c.txt", "c"), (".git/config", "x")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    repository = LocalRepository(tmp_path)
    assert list(repository.files.items()) == [("a/c.txt", 1), ("b.txt", 2)]
    assert repository.read_range("b.txt", 1, 100) == b"b"
    assert repository.sha256("b.txt") == bytes_sha256(b"bb")
    assert repository.refused == ()


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(NoSuchRepository, match="does not exist") as caught:
        LocalRepository(tmp_path / "none")
    assert caught.value.exit_code == 2
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(NoSuchRepository, match="is not a folder"):
        LocalRepository(tmp_path / "file")


@pytest.mark.parametrize(
    ("path", "is_inside"),
    [
        ("cfg.json", True),
        ("a/b..c/cfg.json", True),
        ("../cfg.json", False),
        ("a/../../cfg.json", False),
        ("/cfg.json", False),
        ("a//cfg.json", False),
        ("a\\..\\cfg.json", False),
        ("C:/cfg.json", False),
    ],
)
def test_a_path_from_a_hub_must_stay_inside(path: str, is_inside: bool) -> None:
    assert stays_inside(path) is is_inside


@pytest.mark.parametrize("path", ["../secret.txt", "a/../../secret.txt"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.txt").write_text("s", encoding="utf-8")
    (tmp_path / "inside" / "a").mkdir(parents=True)
    with pytest.raises(UnreadableFile, match="leads out of the repository"):
        LocalRepository(tmp_path / "inside").fetch(path)


def test_links_that_lead_out_are_listed_and_never_read(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s.txt").write_text("s", encoding="utf-8")
    inside = tmp_path / "inside"
    inside.mkdir()
    try:
        (inside / "file.txt").symlink_to(tmp_path / "secret" / "s.txt")
        (inside / "folder").symlink_to(tmp_path / "secret", target_is_directory=True)
        (inside / "broken").symlink_to(inside / "nowhere")
    except OSError:
        pytest.skip("this machine does not let tests make links")
    repository = LocalRepository(inside)
    assert repository.files == {}
    assert repository.refused == ("broken", "file.txt", "folder")
    with pytest.raises(UnreadableFile, match="leads out of the repository"):
        repository.fetch("file.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "is not UTF-8 \\(byte 0\\)"),
        (b'{"a": 1, "a": 2}', "the key 'a' stands twice"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b"{", "is not valid JSON"),
        (b"[" * 200_000, "is nested too deeply"),
    ],
)
def test_json_is_read_strictly(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UnreadableFile, match=message):
        LocalRepository(tmp_path).read_json("x.json")


def test_a_byte_order_mark_is_accepted_and_a_long_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xef\xbb\xbf{}")
    repository = LocalRepository(tmp_path)
    assert repository.read_json("x.json") == {}
    with pytest.raises(UnreadableFile, match="is 5 bytes long"):
        repository.read_text("x.json", max_bytes=4)
    with pytest.raises(UnreadableFile, match="does not exist"):
        repository.read_json("y.json")
