"""What TARGET on the command line means: a manifest, a folder, or a repository on the Hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from manifests.errors import UsageError
from manifests.nearest import nearest_file
from manifests.shelf import SUFFIXES

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")

# What nobody writes but for a path.
_OF_A_PATH = ("./", "../", "/", "~", ".\\", "..\\")


@dataclass(frozen=True)
class ManifestTarget:
    """A manifest file."""

    path: Path


@dataclass(frozen=True)
class FolderTarget:
    """A local folder that holds an SAE repository."""

    path: Path


@dataclass(frozen=True)
class HubTarget:
    """A repository on the Hub; `revision` is None for its head."""

    repo_id: str
    revision: str | None


Target = ManifestTarget | FolderTarget | HubTarget


def parse_target(text: str, *, manifests: Path) -> Target:
    """Tell what a TARGET is.

    A file ending in .yaml or .yml is a manifest, a folder is a folder, `owner/name[@revision]` is
    a Hub repository. What fits both a path and an id is refused: `./` in front makes it a path.

    Raises:
        UsageError: it is none of these, or two of them.
    """
    if not text.strip():
        raise UsageError(
            "the target is empty",
            expected="a manifest (.yaml), a folder that exists, or owner/name[@revision]",
        )
    path = Path(text)
    name, _, revision = text.partition("@")
    is_id = _REPO_ID.fullmatch(name) is not None and not text.endswith(SUFFIXES)
    if is_id and path.exists():
        raise UsageError(
            f"{text!r} is both a path here and an id on the Hub",
            expected="one or the other",
            next_step=f"write ./{text} for the path",
        )
    if path.is_dir():
        return FolderTarget(path)
    if text.endswith(SUFFIXES):
        if not path.is_file():
            raise UsageError(
                f"there is no file {text!r}", expected="a manifest", next_step=_nearest(path)
            )
        return ManifestTarget(path)
    if is_id:
        for suffix in SUFFIXES:
            if (manifest := Path(text + suffix)).is_file():
                raise UsageError(
                    f"{text!r} is an id on the Hub, and a manifest here but for its ending",
                    expected="one or the other",
                    next_step=f"did you mean {manifest.as_posix()}?",
                )
        return HubTarget(name, revision or None)
    if text.startswith(_OF_A_PATH) and not path.exists():
        raise UsageError(
            f"there is no file or folder {text!r}",
            expected="a folder that holds SAEs, or a manifest (.yaml)",
            next_step=_nearest(path),
        )
    if path.is_file():
        raise UsageError(
            f"{text!r} is a file, but no manifest",
            expected="a manifest (.yaml), a folder, or owner/name[@revision]",
        )
    raise UsageError(
        f"{text!r} is not a target",
        expected="a manifest (.yaml), a folder that exists, or owner/name[@revision]",
        next_step=_nearest(manifests / f"{text}.yaml")
        or f"write ./{text} for a folder, owner/{text} for a repository on the Hub",
    )


def _nearest(path: Path) -> str | None:
    """A hint at the manifest whose name is nearest to the one that is not there."""
    near = nearest_file(path, SUFFIXES)
    return f"did you mean {near.as_posix()}?" if near else None
