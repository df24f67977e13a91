"""Which files a card is made of, and when one of them changed: polled, which works anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import as_file, files
from pathlib import Path

from cards.overrides import overrides_folder
from manifests.build_folder import BuildFolder

POLL_SECONDS = 0.5
Stamp = tuple[int, int] | None
_YAML = ("*.yaml", "*.yml")


def polls() -> Iterator[None]:
    """Once at each time to look again, for ever."""
    while True:
        time.sleep(POLL_SECONDS)
        yield


def watched_files(path: Path, builds: Path) -> Iterator[Path]:
    """The files that decide the card of a manifest or of a collection, missing ones included.

    These are all YAML files beside it (it may extend one, or count others), its own report and
    training record and those of every build (a collection shows its members'), our templates, and
    the user's own partials.
    """
    yield path
    for pattern in _YAML:
        yield from path.parent.glob(pattern)
    for root in {builds / path.stem, *builds.glob("*")}:
        build = BuildFolder(root)
        yield from (build.report_json, build.training_json)
    yield from overrides_folder(path).glob("*.j2")
    with as_file(files("cards") / "templates") as templates:
        yield from templates.rglob("*.j2")


def stamps(paths: Iterable[Path]) -> dict[Path, Stamp]:
    """By file the time of its last change [ns] and its size; None for one that is missing."""
    return {path: _stamp(path) for path in paths}


def on_each_change(
    render: Callable[[], object],
    watched: Callable[[], Iterable[Path]],
    ticks: Iterable[None],
) -> None:
    """Render at once, and again after each tick at which something is not as it was.

    The files are looked at before they are rendered, so that a change meanwhile is not missed.
    """
    seen = stamps(watched())
    render()
    for _ in ticks:
        found = stamps(watched())
        if found != seen:
            seen = found
            render()


def _stamp(path: Path) -> Stamp:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
