"""A figure before it is drawn: its name, its words, its numbers, and the digest of those."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from manifests.digests import json_sha256

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

FOLDER = "figures"
# Part of every digest: a change to the look of all figures has them drawn again.
STYLE_VERSION = 2
_LONGEST_LABEL = 48


class FigureData(Protocol):
    """The numbers of one kind of figure: a frozen dataclass of JSON values."""

    @property
    def alt(self) -> str:
        """The figure in words, for those who do not see it."""
        ...

    def draw(self, canvas: Canvas) -> None:
        """Draw it on an empty canvas, whose size it sets."""
        ...


@dataclass(frozen=True)
class Figure:
    """One figure of a card.

    Attributes:
        name: what the templates call it.
        alt: the figure in words.
        digest: SHA-256 of everything that is drawn; equal digests need no new drawing.
        draw: draws it on an empty canvas.
    """

    name: str
    alt: str
    digest: str
    draw: Callable[[Canvas], None]

    @property
    def path_in_repo(self) -> str:
        """Where it lies in the repository."""
        return f"{FOLDER}/{self.name}.svg"


def figure_of(name: str, version: int, data: FigureData) -> Figure:
    """The figure of some numbers.

    Args:
        name: what the templates call it.
        version: of the drawing; another one has the figure drawn again.
        data: a frozen dataclass.
    """
    drawn: Any = data
    values = asdict(drawn)
    digest = json_sha256(
        {"name": name, "version": version, "style": STYLE_VERSION, "values": values}
    )
    return Figure(name, data.alt, digest, functools.partial(type(drawn).draw, drawn))


def range_text(values: Sequence[float], form: str) -> str:
    """`0.9 to 1.0`: the smallest and the largest in words; one number where both are the same."""
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"


def label_text(text: str, *, longest: int = _LONGEST_LABEL) -> str:
    """A name as a figure can show it: one short line of printable characters."""
    printable = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text
    )
    if len(printable) <= longest:
        return printable
    return f"{printable[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"
