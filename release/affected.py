"""Which manifests a change concerns, and how far each is to be checked for it.

| what changed | tier | required |
|---|---|---|
| it is new, or where its weights lie, or what they follow from | activations | yes |
| anything else that it says, or partials beside it | load | yes |
| only its settings on the Hub | static | yes |
| only code or templates that all manifests share | static | no: nothing of its own changed |

A manifest is compared as it resolves, so a study file that several extend concerns those whose
facts it changes, and a comment concerns none.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cards.overrides import overrides_folder
from manifests.errors import ReleaseError, UsageError
from manifests.load import LoadedManifest, load_manifest
from manifests.shelf import SUFFIXES, manifest_files
from validators.report import Tier

_PACKAGES = ("manifests", "validators", "retrain", "cards", "release")
_CODE = (".py", ".j2")
_PINS = ("constraints.txt", "pyproject.toml")
_GIT_TIMEOUT_S = 120


@dataclass(frozen=True)
class Affected:
    """One manifest that a change concerns.

    Attributes:
        name: the manifest's stem, the name of its build.
        manifest: its path, as it was found.
        repo_id: the repository that it describes.
        tier: how far to check it.
        required: whether a failure is this change's to answer for.
        why: what about it changed, in words.
    """

    name: str
    manifest: str
    repo_id: str
    tier: Tier
    required: bool
    why: str


def affected_manifests(manifests: Path, since: str | None) -> tuple[Affected, ...]:
    """The manifests of a folder that differ, as they lie here, from a git revision.

    Args:
        manifests: the folder, inside a git repository when `since` is given.
        since: a revision; empty, None or all zeros (git's name for no commit): all of them.

    Raises:
        UsageError: no git, no repository, or no such revision in it.
        ReleaseError: a manifest cannot be read.
    """
    paths = manifest_files(manifests)
    if not (since or "").strip("0"):
        every = (load_manifest(path) for path in paths)
        return tuple(_row(loaded, "activations", "every manifest") for loaded in every)
    assert since is not None
    root = Path(_git(manifests, "rev-parse", "--show-toplevel").decode().strip())
    prefix = _git(manifests, "rev-parse", "--show-prefix").decode("utf-8").strip()
    commit = _commit(manifests, since)
    names = _git(root, "diff", "--name-only", "--no-renames", "-z", commit)
    changed = {root / name for name in names.decode("utf-8").split("\0") if name}
    with tempfile.TemporaryDirectory(prefix="sae-release-", ignore_cleanup_errors=True) as folder:
        former = _former_folder(root, prefix, commit, Path(folder))
        return tuple(
            row
            for path in paths
            if (row := _compared(load_manifest(path), former / path.name, changed, root))
        )


def _compared(
    loaded: LoadedManifest, former_path: Path, changed: set[Path], root: Path
) -> Affected | None:
    former = _former(former_path)
    if former is None:
        return _row(loaded, "activations", "it is new")
    if former.manifest.weights != loaded.manifest.weights:
        return _row(loaded, "activations", "its weights come from elsewhere")
    if former.evidence_digest != loaded.evidence_digest:
        return _row(loaded, "activations", "what its weights and measurements follow from changed")
    if former.digest != loaded.digest:
        return _row(loaded, "load", "what it says changed")
    partials = overrides_folder(loaded.path).resolve()
    if any(path.is_relative_to(partials) and path.suffix == ".j2" for path in changed):
        return _row(loaded, "load", "a partial beside it changed")
    if former.manifest.hub != loaded.manifest.hub:
        why = "its settings on the Hub changed"
        return Affected(*_names(loaded), "static", required=True, why=why)
    if any(_is_shared(path.relative_to(root)) for path in changed):
        return Affected(
            *_names(loaded), "static", required=False, why="code or templates changed, not it"
        )
    return None


def _row(loaded: LoadedManifest, tier: Tier, why: str) -> Affected:
    return Affected(*_names(loaded), tier, required=True, why=why)


def _names(loaded: LoadedManifest) -> tuple[str, str, str]:
    return loaded.name, loaded.path.as_posix(), loaded.manifest.repo_id


def _is_shared(path: Path) -> bool:
    """Whether a file, by its place in the repository, is code or templates of this tool."""
    name = PurePosixPath(path.as_posix())
    return str(name) in _PINS or (name.parts[0] in _PACKAGES and name.suffix in _CODE)


def _former(path: Path) -> LoadedManifest | None:
    """The manifest as it was; None where there was none, or none that can be read."""
    if not path.is_file():
        return None
    try:
        return load_manifest(path)
    except ReleaseError:
        return None


def _former_folder(root: Path, prefix: str, commit: str, into: Path) -> Path:
    """The YAML files of the folder as they were at a commit; an empty folder if there was none.

    Only what a manifest resolves from: data is named there by its digest. Asked at the root of the
    repository, since git answers for the folder in which it is asked.
    """
    listed = _git(root, "ls-tree", "--name-only", "-z", commit, "--", prefix or ".")
    names = [name for name in listed.decode("utf-8").split("\0") if name.endswith(SUFFIXES)]
    if names:
        packed = _git(root, "archive", "--format=tar", commit, "--", *names)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(into, members=_files(archive), filter="data")
    return into / prefix


def _files(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    return (member for member in archive if member.isfile())


def _commit(folder: Path, since: str) -> str:
    """The commit that a revision names, so that it can be mistaken for no option of git.

    Raises:
        UsageError: there is no such revision here.
    """
    name = _git(
        folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{since}^{{commit}}"
    )
    return name.decode("ascii").strip()


def _git(folder: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and revisions are verified first
            ["git", *arguments],  # noqa: S607
            cwd=folder,
            capture_output=True,
            check=False,
            timeout=_GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            f"git could not be run: {error}", where=str(folder), expected="git on the PATH"
        ) from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip() or "no such revision here"
        raise UsageError(
            f"git {arguments[0]} failed: {said[:300]}",
            where=str(folder),
            expected="a git repository that holds the revision",
            next_step="in a shallow checkout, fetch the revision first (fetch-depth: 0)",
        )
    return done.stdout
