"""The tables of a card: their rows by column, and what stands above them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from validators.readme.card_text import CardText, Passage

_MOST_TABLES = 200


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        header: its column names; empty cells where a table has none.
        rows: the rows below, each with its line.
        caption: the text right above it, its heading included.
        section: the title it stands under.
        first: the place of its header among the card's passages.
    """

    header: tuple[str, ...]
    rows: tuple[Passage, ...]
    caption: str
    section: str
    first: int

    def column(self, at: int) -> tuple[str, ...]:
        """The cells of a column; empty where a row is short."""
        return tuple(row.cells[at] if at < len(row.cells) else "" for row in self.rows)

    @property
    def is_of_keys(self) -> bool:
        """A name and a value in each row."""
        return len(self.header) == 2


def tables(card: CardText) -> tuple[Table, ...]:
    """The tables of the card in order, at most 200."""
    return tuple(islice(_tables(card), _MOST_TABLES))


def _tables(card: CardText) -> Iterator[Table]:
    section = ""
    at, passages = 0, card.passages
    while at < len(passages):
        passage = passages[at]
        if passage.kind == "heading":
            section = passage.text.strip()
        if passage.kind != "row":
            at += 1
            continue
        first = at
        at += 1
        while at < len(passages) and passages[at].kind == "row" and passages[at].header:
            at += 1
        above = passages[first - 1].text if first and passages[first - 1].kind != "code" else ""
        yield Table(passage.cells, passages[first + 1 : at], above, section, first)
