"""The card's figures, as they lie in a build or were published.

A figure goes into the page as a `data:` address and into no file of its own: in an image no script
of an SVG file runs, but a file on a web server could be opened by itself.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cards.figures.figure import FOLDER
from cards.figures.files import existing, stale_figures
from cards.figures.kinds import KINDS, figures_of
from manifests.errors import MissingExtra, ReleaseError
from release.report_page.notice import Notice
from validators.reading.repository import UnreadableFile

if TYPE_CHECKING:
    from cards.figures.figure import Figure
    from cards.sources import Sources
    from validators.reading.repository import Repository

MAX_BYTES = 5_000_000
TITLES = {
    "sparsity": "Explained variance against L0",
    "firing_density": "How often latents fire",
    "thresholds": "Thresholds before and after training",
    "probe_profile": "Probes by layer",
    "portability": "The base model at other precisions",
}


@dataclass(frozen=True)
class CardFigure:
    """One figure: `alt` is it in words, `svg` the file."""

    name: str
    alt: str
    svg: bytes

    @property
    def title(self) -> str:
        """What it shows, in a few words."""
        return TITLES.get(self.name, self.name)

    @property
    def data_url(self) -> str:
        """The file as an address of its own."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode('ascii')}"


def figures_of_build(
    sources: Sources, repository: Path
) -> tuple[tuple[CardFigure, ...], tuple[Notice, ...]]:
    """The figures that the report has numbers for; one whose file is stale is drawn for the page.

    Nothing is written into the build. A figure that cannot be drawn is left out, with a notice.
    """
    from cards.figures.drawing import drawn

    try:
        figures = existing(figures_of(sources))
    except ReleaseError as error:
        return (), (Notice(f"The card's figures are left out: {error.what}", error.next_step),)
    stale = stale_figures(figures, repository)
    found, missing = [], []
    for figure in figures:
        path = figure.path_in_repo
        try:
            content = drawn(figure) if path in stale else (repository / path).read_bytes()
        except MissingExtra as error:
            missing.append((figure, error))
            continue
        found.append(CardFigure(figure.name, figure.alt, content))
    return tuple(found), tuple(_left_out(missing))


def _left_out(missing: list[tuple[Figure, MissingExtra]]) -> Iterable[Notice]:
    if missing:
        names = ", ".join(figure.name for figure, _ in missing)
        error = missing[0][1]
        yield Notice(
            f"Figures of the card are not drawn yet ({names}): {error.what}", error.next_step
        )


def published_figures(repository: Repository) -> tuple[CardFigure, ...]:
    """The figures that a repository holds, under the names of this tool's own figures.

    Raises:
        UnreadableFile: one is longer than any figure.
    """
    found = []
    for name in KINDS:
        path = f"{FOLDER}/{name}.svg"
        if path in repository.files:
            if repository.size_of(path) > MAX_BYTES:
                raise UnreadableFile(
                    f"is {repository.size_of(path)} bytes long",
                    where=path,
                    expected=f"a figure of at most {MAX_BYTES} bytes",
                )
            svg = repository.read_range(path, 0, MAX_BYTES)
            alt = f"{TITLES.get(name, name)}, as published; the numbers are in the table of SAEs"
            found.append(CardFigure(name, alt, svg))
    return tuple(found)
