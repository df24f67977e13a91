"""Paths of this machine in a text, told without where they lie: that is nobody's business."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def without_folders(text: str, folders: Iterable[Path]) -> str:
    """The text with each path below one of the folders as the way from there.

    A whole disk is no such folder: its name stands in every path.
    """
    for form in _written(folders):
        # An operating system's error writes backslashes twice.
        for separator in ("/", "\\\\", "\\"):
            text = text.replace(form + separator, "")
    return text


def with_name_for(text: str, folder: Path, name: str) -> str:
    """The text with paths below the folder as the way from there, and itself by its name."""
    places = places_of(folder)
    text = without_folders(text, places)
    for form in _written(places):
        text = text.replace(form, name)
    return text


def places_of(folder: Path) -> tuple[Path, ...]:
    """Where a folder lies, as it is named and as links lead there: without its own short name."""
    absolute = folder.absolute()
    return (absolute, Path(os.path.normpath(absolute)), folder.resolve())


def _written(folders: Iterable[Path]) -> list[str]:
    """How messages write the folders.

    The longest comes first: on macOS `/tmp/x` is a part of `/private/tmp/x`, which it resolves to.
    """
    forms = {
        form
        for folder in folders
        if folder.name
        for form in (str(folder), folder.as_posix(), str(folder).replace("\\", "\\\\"))
    }
    return sorted(forms, key=len, reverse=True)
