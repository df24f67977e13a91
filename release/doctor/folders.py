"""Where caches and builds lie: how large, on a disk with how much room, and whether writable."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from release.doctor.line import Line, State

# Weights of a small model and its activations; below this a run is likely to end in the middle.
LEAST_FREE_BYTES = 10_000_000_000
_MOST_ENTRIES = 200_000


@dataclass(frozen=True)
class Place:
    """A folder that the tool or huggingface_hub writes to, and the variable that moves it."""

    topic: str
    path: Path
    variable: str


def places(build: Path, *, environment: Mapping[str, str] = os.environ) -> list[Place]:
    """The folders in use on this machine.

    Args:
        build: that of --build.
        environment: the variables, to name the one that is set.
    """
    import platformdirs
    from huggingface_hub import constants

    of_hub = next(
        (name for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") if name in environment),
        "HF_HOME",
    )
    return [
        Place("models", Path(constants.HF_HUB_CACHE), of_hub),
        Place("uploads", Path(constants.HF_XET_CACHE), "HF_XET_CACHE"),
        Place("cache", platformdirs.user_cache_path("sae-release", appauthor=False), ""),
        Place("builds", build, "--build"),
    ]


def folder_line(
    place: Place,
    *,
    free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    is_writable: Callable[[Path], bool] | None = None,
) -> Line:
    """One folder's line; a folder that is not there yet is judged by the nearest one above it."""
    is_writable = is_writable or _is_writable
    path = place.path.absolute()
    moved = f"move it with {place.variable}" if place.variable else None
    opened = moved or "let this user read it and write to it"
    try:
        nearest = nearest_there(path)
        if nearest is None:
            what = f"{path}: there is no such drive"
            return Line(place.topic, State.BROKEN, what, moved or f"connect {path.anchor}")
        is_folder = nearest.is_dir()
        free = free_bytes(nearest)
    except OSError as error:
        what = f"{path} cannot be looked into ({error.strerror or type(error).__name__})"
        return Line(place.topic, State.BROKEN, what, opened)
    size = "not there yet"
    if nearest == path and is_folder:
        n_bytes, is_whole = size_of(path)
        size = f"{'' if is_whole else 'at least '}{shown_bytes(n_bytes)}"
    told = f"{path}, {size}, {shown_bytes(free)} free"
    if not is_folder:
        what = f"{told}; {nearest} is no folder"
        return Line(place.topic, State.BROKEN, what, moved or f"move {nearest} away")
    if not is_writable(nearest):
        return Line(place.topic, State.BROKEN, f"{told}; {nearest} cannot be written to", opened)
    if free < LEAST_FREE_BYTES:
        what = f"{told}, which a model may not fit into"
        return Line(place.topic, State.NOTE, what, moved or "make room there")
    return Line(place.topic, State.OK, told)


def nearest_there(path: Path) -> Path | None:
    """An absolute path, or the nearest above it that is there; None without its very drive.

    Raises:
        OSError: one of them cannot be looked at. `Path.exists` raises then, or says no, by the
            version of Python.
    """
    for one in (path, *path.parents):
        try:
            one.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        return one
    return None


def size_of(folder: Path, *, most_entries: int = _MOST_ENTRIES) -> tuple[int, bool]:
    """Bytes of the files in a folder, links not followed, and whether all were counted."""
    n_bytes = n_entries = 0
    for root, _, names in os.walk(folder):
        for name in names:
            n_entries += 1
            if n_entries > most_entries:
                return n_bytes, False
            try:
                status = os.lstat(Path(root) / name)
            except OSError:
                # Gone since it was listed, or a path too long for this system.
                continue
            n_bytes += status.st_size
    return n_bytes, True


def shown_bytes(n_bytes: int) -> str:
    """Such as `1.2 GB`; a gigabyte is 10^9 bytes."""
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes} B"


def _is_writable(folder: Path) -> bool:
    """Whether a file can be made there, which permission bits do not tell on Windows."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
