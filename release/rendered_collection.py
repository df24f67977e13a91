"""The card of a collection on disk: written where it is stale, or compared."""

from __future__ import annotations

from pathlib import Path

from cards.collection.card import collection_files
from cards.stage import Rendered
from cards.text_difference import text_difference
from manifests.build_folder import BuildFolder, write_atomically


def render_collection(path: Path, builds: Path) -> Rendered:
    """Write the files of a collection's repository that are not right already.

    Raises:
        ReleaseError: see `collection_files`; nothing is written.
    """
    repository = BuildFolder(builds / path.stem).repository
    written, unchanged = [], []
    for path_in_repo, content in collection_files(path, builds).items():
        target = repository / path_in_repo
        if _content(target) == content:
            unchanged.append(target)
        else:
            write_atomically(target, content)
            written.append(target)
    return Rendered(tuple(written), tuple(unchanged))


def stale_collection(path: Path, builds: Path) -> dict[str, str]:
    """A diff by path_in_repo for each file that is not what rendering gives.

    Raises:
        ReleaseError: see `collection_files`.
    """
    repository = BuildFolder(builds / path.stem).repository
    return {
        path_in_repo: text_difference(path_in_repo, there or b"", content, where="on disk")
        for path_in_repo, content in collection_files(path, builds).items()
        if (there := _content(repository / path_in_repo)) != content
    }


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
