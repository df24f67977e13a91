"""Which files of a folder are manifests, which collections, and what becomes of broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.errors import UsageError
from manifests.shelf import collection_files, described_files, manifest_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "b.yaml": "schema_version: 1\n",
        "a.yml": "schema_version: 1\n",
        "all.yaml": "kind: collection\n",
        "broken.yaml": "broken: [",
        "study.yaml": "caveats: {}\n",
        "notes.txt": "nothing\n",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def names(paths: tuple[Path, ...]) -> list[str]:
    return [path.name for path in paths]


def test_a_file_that_cannot_be_read_hides_no_other(folder: Path) -> None:
    assert names(manifest_files(folder)) == ["a.yml", "b.yaml", "broken.yaml"]
    assert names(collection_files(folder)) == ["all.yaml"]
    assert names(described_files(folder)) == ["a.yml", "all.yaml", "b.yaml", "broken.yaml"]


@pytest.mark.parametrize("listed", [manifest_files, described_files])
def test_a_folder_without_any_is_a_usage_error(tmp_path: Path, listed) -> None:
    with pytest.raises(UsageError, match="holds no manifest"):
        listed(tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        listed(tmp_path / "none")


def test_a_folder_of_collections_alone_is_described_and_holds_no_manifest(folder: Path) -> None:
    for path in manifest_files(folder):
        path.unlink()
    assert names(described_files(folder)) == ["all.yaml"]
    with pytest.raises(UsageError):
        manifest_files(folder)
