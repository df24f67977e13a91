"""What somebody who mistyped a name or a path probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

# Read for each other on paper and on a screen, above all in codes such as W102.
_LOOK_ALIKES = str.maketrans("ol", "01")


def nearest(name: str, known: Iterable[str], *, n: int = 3, cutoff: float = 0.6) -> list[str]:
    """Up to `n` of the `known` names that look like `name`, nearest first.

    Case does not count, nor does a letter written for the digit it looks like. A name that differs
    in nothing else is the only answer.

    Args:
        name: what was written.
        known: the names there are.
        n: how many to give at most.
        cutoff: how alike they must be, from 0 to 1 (`difflib`'s ratio).
    """
    originals: dict[str, str] = {}
    for original in known:
        originals.setdefault(_folded(original), original)
    folded = _folded(name)
    if folded in originals:
        return [originals[folded]]
    return [originals[near] for near in difflib.get_close_matches(folded, originals, n, cutoff)]


def did_you_mean(name: str, known: Iterable[str], *, n: int = 1, cutoff: float = 0.6) -> str | None:
    """The question for an error's last line, such as `did you mean validate?`; None for a guess."""
    return question(nearest(name, known, n=n, cutoff=cutoff))


def question(names: list[str]) -> str | None:
    """`did you mean A, B or C?`; None where there is no name."""
    if not names:
        return None
    *others, last = names
    return f"did you mean {', '.join(others)} or {last}?" if others else f"did you mean {last}?"


def nearest_file(path: Path, suffixes: tuple[str, ...]) -> Path | None:
    """The file that somebody meant by a path at which there is none.

    Looked at are the path's own folder, the one whose name is nearest where that is missing too,
    and `manifests` within or here, for a name without its folder.
    """
    folder = path.parent
    if not folder.is_dir() and folder.parent.is_dir():
        beside = {entry.name: entry for entry in folder.parent.iterdir() if entry.is_dir()}
        near = nearest(folder.name, beside, n=1)
        folder = beside[near[0]] if near else folder
    for place in (folder, folder / "manifests", Path("manifests")):
        if not place.is_dir():
            continue
        files = {
            entry.stem: entry
            for entry in sorted(place.iterdir())
            if entry.suffix in suffixes and entry.name != "study.yaml"
        }
        stem = path.stem if path.suffix in suffixes else path.name
        if near := nearest(stem, files, n=1):
            return files[near[0]]
    return None


def _folded(name: str) -> str:
    return name.lower().translate(_LOOK_ALIKES)
