"""The folder that the copy is written into; nothing is written outside it."""

from __future__ import annotations

import shutil
from pathlib import Path

from manifests.build_folder import write_atomically
from manifests.errors import UsageError
from validators.reading.repository import Repository, stays_inside

# Names that Windows gives to devices, whatever their ending.
_DEVICES = frozenset(
    {"aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)
_FORBIDDEN = frozenset('<>:"|?*\\')
_LONGEST_NAME_BYTES = 255


def need_empty_folder(out: Path, repository: Repository) -> None:
    """Make sure that `out` is a new place beside the repository.

    Raises:
        UsageError: it is a file, holds something already, or lies in the repository itself.
    """
    source = Path(repository.location)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise UsageError(
            "lies in the repository that is to be mended",
            where=str(out),
            expected="a folder outside it, for the mended copy",
            next_step="name another folder",
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            "is not an empty folder" if out.is_dir() else "is a file",
            where=str(out),
            expected="a new or empty folder, for the mended copy",
            next_step="name another folder, or empty this one",
        )


class Destination:
    """Files below one folder, each path looked at before anything is written to it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[str, str] = {}

    def refusal(self, path: str) -> str | None:
        """Why a path_in_repo cannot be written on every system; None when it can."""
        parts = path.split("/")
        if not stays_inside(path):
            return "the path leads out of the repository"
        for part in parts:
            if not part.isprintable() or set(part) & _FORBIDDEN:
                return "the name has characters that file systems refuse or terminals obey"
            if part.partition(".")[0].lower().strip() in _DEVICES or part[-1] in ". ":
                return "Windows does not take such a name"
            if len(part.encode("utf-8", "surrogatepass")) > _LONGEST_NAME_BYTES:
                return "the name is too long for a file system"
        other = self._names.get(path.casefold(), path)
        return None if other == path else f"it differs from {other!r} in upper and lower case only"

    def write(self, path: str, content: bytes) -> None:
        """Write one file, whose path was not refused."""
        write_atomically(self._place(path), content)

    def copy(self, path: str, source: Path) -> None:
        """Copy the bytes of one file, whose path was not refused."""
        place = self._place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)

    def _place(self, path: str) -> Path:
        assert self.refusal(path) is None, path
        self._names[path.casefold()] = path
        return self._root.joinpath(*path.split("/"))
