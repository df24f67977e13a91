"""A remark of a page about its own sources: what is not shown, why, and how to have it shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from manifests.errors import ReleaseError
from validators.presenting.placeless import places_of, without_folders


@dataclass(frozen=True)
class Notice:
    """What a reader has to know, and what to do about it, where anything can be done."""

    text: str
    next_step: str | None = None


def notice_of(error: ReleaseError, doing: str, *, of: str = "", named: str = "") -> Notice:
    """An error that a page is made in spite of.

    Where it was found is left out, and so are folders: they may be of this machine, and a page gets
    published.

    Args:
        error: what went wrong.
        doing: what is not on the page for it.
        of: the file that it speaks of, where `doing` names none.
        named: the target as it was written; what is outside of the project is told by its name.
    """
    folders = _outside(named)
    next_step = error.next_step and without_folders(error.next_step, folders)
    what = without_folders(error.what, folders)
    return Notice(f"{doing}: {of} {what}" if of else f"{doing}: {what}", next_step)


def shown_path(path: Path) -> str:
    """A path as a published page may show it: nothing of this machine outside the project."""
    return path.name if _is_outside(path) else path.as_posix()


def _outside(named: str) -> tuple[Path, ...]:
    path = Path(named)
    if not _is_outside(path):
        return ()
    return tuple(place for each in path.parents for place in (each, *places_of(each)))


def _is_outside(path: Path) -> bool:
    return path.is_absolute() or ".." in path.parts or path.parts[:1] == ("~",)
