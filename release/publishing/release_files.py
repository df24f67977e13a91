"""The files of a release on disk: which belong to it, their sizes and digests.

Only named files are ever published: two for each SAE, the documents, and the figures. Anything
else in the folder stops a push, since nobody checked it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.errors import ReleaseError
from manifests.load import LoadedManifest
from release.adopted import is_adopted

RENDERED = ("README.md", "card.json", "config.json", "manifest.json")
TRAINING = "training.json"
DOCUMENTS = (*RENDERED, "report.json", TRAINING)
FIGURE_INDEX = "figures/figures.json"
# Written by a push, once everything else is there.
ADDED_BY_PUSH = ("model.sig", "provenance.intoto.json")


class IncompleteRelease(ReleaseError):
    """The folder lacks a file of the release, or holds one that is no part of it."""


@dataclass(frozen=True)
class ReleaseFile:
    """One file as it lies on disk.

    `sha256` is how the Hub names an LFS file, `git_oid` (sha1 of the git blob) any other.
    """

    path_in_repo: str
    path: Path
    size_bytes: int
    sha256: str
    git_oid: str


def release_files(loaded: LoadedManifest, build: BuildFolder) -> dict[str, ReleaseFile]:
    """Every file that the release consists of, by path_in_repo, in sorted order.

    Raises:
        IncompleteRelease: a file is missing, or one lies there that does not belong; names all.
    """
    expected = set(DOCUMENTS)
    again = "run"
    if is_adopted(loaded, build):
        expected.remove(TRAINING)
        again = "validate --fix"
    for spec in loaded.saes:
        expected |= {f"{spec.sae_id}/{SAE_CONFIG}", f"{spec.sae_id}/{SAE_WEIGHTS}"}
    expected |= _figures(build)
    present = {
        path.relative_to(build.repository).as_posix(): path
        for path in sorted(build.repository.rglob("*"))
        if path.is_symlink() or path.is_file()
    }
    missing = sorted(expected - set(present))
    known = expected | {*ADDED_BY_PUSH}
    foreign = [name for name, path in present.items() if path.is_symlink() or name not in known]
    if missing:
        raise IncompleteRelease(
            f"{len(missing)} {'file is' if len(missing) == 1 else 'files are'} missing: "
            f"{_some(missing)}",
            where=str(build.repository),
            expected="two files for each SAE, the documents, and the figures of card.json",
            next_step=f"release {again} {loaded.path}",
        )
    if foreign:
        raise IncompleteRelease(
            f"{len(foreign)} files do not belong to the release: {_some(foreign)}",
            where=str(build.repository),
            expected="only files that the manifest and the stages account for",
            next_step="move them out of the folder",
        )
    return {name: describe_file(name, path) for name, path in sorted(present.items())}


def card_files(loaded: LoadedManifest, build: BuildFolder) -> dict[str, ReleaseFile]:
    """The files that rendering writes, by path_in_repo: card, index, manifest, figures.

    Raises:
        IncompleteRelease: one is missing.
    """
    expected = {*RENDERED, *_figures(build)}
    paths = {name: build.repository.joinpath(*name.split("/")) for name in sorted(expected)}
    missing = [name for name, path in paths.items() if not path.is_file() or path.is_symlink()]
    if missing:
        raise IncompleteRelease(
            f"{len(missing)} files of the card are missing: {_some(missing)}",
            where=str(build.repository),
            expected="what `release render` writes",
            next_step=f"release render {loaded.path}",
        )
    return {name: describe_file(name, path) for name, path in paths.items()}


def _figures(build: BuildFolder) -> set[str]:
    """The figures that card.json names, and their index; none where there is no card.

    Raises:
        IncompleteRelease: card.json is damaged.
    """
    if not build.card_json.is_file():
        return set()
    try:
        card = json.loads(build.card_json.read_bytes())
        names = {str(name) for name in card.get("figures", {})}
    except (ValueError, AttributeError, TypeError) as error:
        raise IncompleteRelease(
            "is damaged, so that nothing says which figures belong to the release",
            where=str(build.card_json),
            expected="what `release render` writes",
            next_step="release render MANIFEST",
        ) from error
    return names | {FIGURE_INDEX} if names else set()


def describe_file(name: str, path: Path) -> ReleaseFile:
    """Digest one file, as it will be called in the repository."""
    size_bytes = path.stat().st_size
    sha256, git_blob = hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
    git_blob.update(b"blob %d\0" % size_bytes)
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            sha256.update(chunk)
            git_blob.update(chunk)
    return ReleaseFile(name, path, size_bytes, sha256.hexdigest(), git_blob.hexdigest())


def _some(names: list[str], limit: int = 5) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
