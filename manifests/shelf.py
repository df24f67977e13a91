"""The folder of manifests: which of its files describe a repository, which a collection."""

from __future__ import annotations

from pathlib import Path

from manifests.collection import is_collection
from manifests.errors import UsageError

SUFFIXES = (".yaml", ".yml")
STUDY_FILES = ("study.yaml",)


def manifest_files(folder: Path) -> tuple[Path, ...]:
    """The manifests of repositories in a folder, sorted by name.

    Study files are shared facts and collections lists of repositories; neither is among them.

    Raises:
        UsageError: the folder does not exist or holds no manifest.
    """
    if not folder.is_dir():
        raise UsageError(
            f"there is no folder {str(folder)!r}",
            expected="a folder of manifests",
            next_step="name it with --manifests DIR",
        )
    files = tuple(path for path in _yaml_files(folder) if not is_collection(path))
    if not files:
        raise UsageError(f"{folder} holds no manifest", expected="at least one .yaml file")
    return files


def collection_files(folder: Path) -> tuple[Path, ...]:
    """The collections in a folder, sorted by name; none where there is no folder."""
    return tuple(path for path in _yaml_files(folder) if is_collection(path))


def _yaml_files(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    return tuple(
        path
        for path in sorted(folder.iterdir())
        if path.suffix in SUFFIXES and path.name not in STUDY_FILES
    )
