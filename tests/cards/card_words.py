"""A rendered card as its reader sees it: words without marks, headings, tables, code."""

from __future__ import annotations

from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@dataclass(frozen=True)
class CardWords:
    """One card; `rows` are the cells of every table's row, `blocks` (language, code)."""

    text: str
    headings: tuple[str, ...]
    sections: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    blocks: tuple[tuple[str, str], ...]

    def row_with(self, *cells: str) -> tuple[str, ...]:
        """The row that has all of these cells."""
        for row in self.rows:
            if set(cells) <= set(row):
                return row
        raise AssertionError(f"no row has {cells}")


def words_of(readme: str) -> CardWords:
    """Take a README.md apart, without its front matter."""
    tokens = PARSER.parse(readme.split("\n---\n", 1)[1])
    headings, sections, text, blocks = [], [], [], []
    rows: list[tuple[str, ...]] = []
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            title = _plain(tokens[index + 1])
            headings.append(title)
            if token.tag == "h2":
                sections.append(title)
        elif token.type == "tr_open":
            rows.append(())
        elif token.type == "inline":
            text.append(_plain(token))
            if tokens[index - 1].type in ("td_open", "th_open"):
                rows[-1] = (*rows[-1], _plain(token))
        elif token.type == "fence":
            blocks.append((token.info, token.content))
            text.append(token.content)
    return CardWords("\n".join(text), tuple(headings), tuple(sections), tuple(rows), tuple(blocks))


def _plain(token: Token) -> str:
    """What a browser shows of an inline token."""
    shown = {"softbreak": " ", "html_inline": ""}
    return "".join(shown.get(each.type, each.content) for each in token.children or ())
