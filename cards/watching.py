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


def watched_files(manifest: Path, build: BuildFolder) -> Iterator[Path]:
    """The files that decide a card, missing ones included.

    These are all YAML files beside the manifest (it may extend one), the report and the training
    record, our templates, and the user's own partials.
    """
    yield manifest
    for pattern in _YAML:
        yield from manifest.parent.glob(pattern)
    yield from (build.report_json, build.training_json)
    yield from overrides_folder(manifest).glob("*.j2")
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
