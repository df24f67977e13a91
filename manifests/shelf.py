"""The folder of manifests: which of its files describe a repository, which a collection."""

from __future__ import annotations

from pathlib import Path

from manifests.collection import is_collection
from manifests.errors import UsageError
from manifests.yaml_source import YamlProblem

SUFFIXES = (".yaml", ".yml")
STUDY_FILES = ("study.yaml",)


def manifest_files(folder: Path) -> tuple[Path, ...]:
    """The manifests of repositories in a folder, sorted by name.

    Study files are shared facts and collections lists of repositories; neither is among them. A
    file that cannot be read is: whoever loads it tells why, and reads the others all the same.

    Raises:
        UsageError: the folder does not exist or holds no manifest.
    """
    return _at_least_one(
        folder, tuple(path for path in _yaml_files(folder) if not _is_collection(path))
    )


def described_files(folder: Path) -> tuple[Path, ...]:
    """The manifests and the collections of a folder, sorted by name; none is read for this.

    Raises:
        UsageError: the folder does not exist or holds neither.
    """
    return _at_least_one(folder, _yaml_files(folder))


def collection_files(folder: Path) -> tuple[Path, ...]:
    """The collections in a folder, sorted by name; none where there is no folder."""
    return tuple(path for path in _yaml_files(folder) if _is_collection(path))


def _at_least_one(folder: Path, files: tuple[Path, ...]) -> tuple[Path, ...]:
    if not folder.is_dir():
        raise UsageError(
            f"there is no folder {str(folder)!r}",
            expected="a folder of manifests",
            next_step="go to the project's folder, or name another one with --manifests DIR",
        )
    if not files:
        raise UsageError(f"{folder} holds no manifest", expected="at least one .yaml file")
    return files


def _is_collection(path: Path) -> bool:
    try:
        return is_collection(path)
    except YamlProblem:
        return False


def _yaml_files(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    return tuple(
        path
        for path in sorted(folder.iterdir())
        if path.suffix in SUFFIXES and path.name not in STUDY_FILES
    )
