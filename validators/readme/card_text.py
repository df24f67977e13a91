"""A model card taken apart: front matter, headings, paragraphs, table rows, code, with their lines.

Blocks are found as CommonMark and GitHub's tables have it, by markdown-it-py; the text inside them
stays as it was written, less emphasis, links and comments, so that every finding has its line.
Comments are hidden from a reader and say nothing here. A page that was pasted without its markup is
read too: lines that are no wrapped sentence each stand for themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import yaml
from markdown_it import MarkdownIt

Kind = Literal["heading", "paragraph", "row", "code"]

# Nobody writes so long a card, block or sentence; what is longer would only cost time.
MAX_CHARACTERS = 400_000
_MAX_BLOCK = 20_000
_MAX_SENTENCE = 4_000
_MAX_FRONT_MATTER = 100_000
# A line that was wrapped by an editor is at least so long.
_WRAPPED_FROM = 60

_FRONT_MATTER = re.compile(r"---[ \t]*\n((?:.*\n)*?)---[ \t]*(?:\n|\Z)")
_KEY = re.compile(r"([A-Za-z_][\w-]{0,60}):")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,300}>")
_LINK = re.compile(r"!?\[([^\[\]\n]{0,300})\]\([^()\s]{0,1000}(?:[ \t]+\"[^\"\n]{0,200}\")?\)")
_MARKUP = re.compile(r"\*\*|__(?=\S)|(?<=\S)__|`+")
_CELL_MARK = " | "
_LIST_MARK = re.compile(r"[ \t]*(?:[-*+\u2022|]|\d{1,3}[.)])(?:[ \t]|$)")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^\sa-z\d])")


@dataclass(frozen=True)
class Passage:
    """One block of the card.

    Attributes:
        kind: heading, paragraph (list items too), row of a table, or code.
        line: the line of README.md on which its text begins, from 1.
        text: its lines as a reader sees them; cells of a row are parted by ` | `.
        raw: its lines as they are written.
        header: the cells above, for a row of a table; empty for the header's own row.
        level: of a heading, 1 to 6; else 0.
    """

    kind: Kind
    line: int
    text: str
    raw: str
    header: tuple[str, ...] = ()
    level: int = 0

    @cached_property
    def cells(self) -> tuple[str, ...]:
        """Of a row."""
        return tuple(cell.strip() for cell in self.text.split(_CELL_MARK))

    def line_of(self, offset: int) -> int:
        """The line of README.md that holds a character of the text."""
        return self.line + self.text.count("\n", 0, offset)

    @property
    def sentences(self) -> tuple[Statement, ...]:
        """Its sentences; a line that was not wrapped and has no full stop ends one too."""
        found = []
        for line, text in self._joined_lines():
            start = 0
            for end in [*(m.end() for m in _SENTENCE_END.finditer(text)), len(text)]:
                sentence = text[start:end]
                if sentence.strip():
                    found.append(Statement(line, sentence.rstrip()[:_MAX_SENTENCE]))
                line += sentence.count("\n")
                start = end
        return tuple(found)

    def _joined_lines(self) -> Iterator[tuple[int, str]]:
        lines, raw = self.text.split("\n"), self.raw.split("\n")
        start = 0
        for at in range(1, len(lines) + 1):
            if at < len(lines) and self.kind == "paragraph":
                is_wrapped = len(raw[at - 1]) >= _WRAPPED_FROM
                if is_wrapped and not _LIST_MARK.match(lines[at]):
                    continue
            yield self.line + start, "\n".join(lines[start:at])
            start = at


@dataclass(frozen=True)
class Statement:
    """A sentence, or a line that stands for itself; `line` is where it begins."""

    line: int
    text: str

    def line_of(self, offset: int) -> int:
        """The line of README.md that holds a character of the text."""
        return self.line + self.text.count("\n", 0, offset)


@dataclass(frozen=True)
class CardText:
    """The card.

    Attributes:
        passages: all blocks in order, without hidden comments.
        metadata: the front matter; None where there is none or it cannot be read.
        metadata_error: why it cannot be read; empty otherwise.
        references: line and target of each link that is defined apart, as `[name]: target`.
        lines: the whole card but its front matter, whose lines are empty here.
        metadata_lines: line of each key of the front matter, and of its end as "".
    """

    passages: tuple[Passage, ...] = ()
    metadata: dict[str, Any] | None = None
    metadata_error: str = ""
    references: tuple[tuple[int, str], ...] = ()
    lines: tuple[str, ...] = field(default=(), repr=False)
    metadata_lines: dict[str, int] = field(default_factory=dict, repr=False, hash=False)

    @cached_property
    def prose(self) -> tuple[Passage, ...]:
        """Everything but code."""
        return tuple(passage for passage in self.passages if passage.kind != "code")

    @cached_property
    def sentences(self) -> tuple[Statement, ...]:
        """Of the prose, in order."""
        return tuple(s for passage in self.prose for s in passage.sentences)

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """Every line of every block, code included."""
        return tuple(
            Statement(passage.line + at, line[:_MAX_SENTENCE])
            for passage in self.passages
            for at, line in enumerate(passage.text.split("\n"))
        )


def read_card(text: str) -> CardText:
    """Take a card apart, within bounds.

    Read are 400,000 characters, of a block of prose 20,000 and of a sentence 4,000.
    """
    text = text[:MAX_CHARACTERS].replace("\r\n", "\n").replace("\r", "\n")
    metadata, error, body_line = None, "", 0
    keys: dict[str, int] = {}
    head = _FRONT_MATTER.match(text[:_MAX_FRONT_MATTER])
    if head:
        metadata, error = _metadata(head[1])
        body_line = text.count("\n", 0, head.end())
        keys = {"": text.count("\n", 0, head.end(1)) + 1}
        for at, above in enumerate(head[1].split("\n"), start=2):
            if found := _KEY.match(above):
                keys.setdefault(found[1], at)
        text = text[head.end() :]
    lines = text.split("\n")
    defined: dict[str, Any] = {}
    return CardText(
        passages=tuple(_passages(text, lines, body_line, defined)),
        metadata=metadata,
        metadata_error=error,
        references=tuple(
            (reference["map"][0] + body_line + 1, reference["href"])
            for reference in defined.get("references", {}).values()
        ),
        lines=("",) * body_line + tuple(lines),
        metadata_lines=keys,
    )


def visible(text: str) -> str:
    """Text without comments, tags, emphasis and link targets; as many lines as before."""
    text = _LINK.sub(r"\1", _uncommented(text))
    return _MARKUP.sub("", _TAG.sub(" ", text)).replace("\u00a0", " ")


def _uncommented(text: str) -> str:
    return _COMMENT.sub(lambda m: "\n" * m[0].count("\n"), text)


def _metadata(text: str) -> tuple[dict[str, Any] | None, str]:
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        message = getattr(error, "problem", None) or type(error).__name__
        return None, str(message)
    if not isinstance(found, dict):
        return None, f"a {type(found).__name__} in place of keys and values"
    return found, ""


def _passages(
    text: str, lines: list[str], before: int, defined: dict[str, Any]
) -> Iterator[Passage]:
    parser = MarkdownIt("commonmark").enable("table").disable("inline")
    header: tuple[str, ...] = ()
    cells: list[str] = []
    row, is_header, above = 0, False, ""
    heading_level = 0
    for token in parser.parse(text, defined):
        line = (token.map[0] if token.map else 0) + before + 1
        if token.type in ("thead_open", "thead_close"):
            is_header = token.type == "thead_open"
        elif token.type == "tr_open":
            cells, row = [], line
        elif token.type == "tr_close":
            above_row = () if is_header else header
            raw = lines[row - before - 1]
            yield Passage("row", row, _CELL_MARK.join(cells), raw, header=above_row)
            header = tuple(cells) if is_header else header
        elif token.type == "heading_open":
            heading_level = int(token.tag[1:])
        elif token.type == "inline" and above in ("th_open", "td_open"):
            cells.append(" ".join(visible(token.content[:_MAX_BLOCK]).split()))
        elif token.type == "inline":
            level = heading_level if above == "heading_open" else 0
            kind: Kind = "heading" if level else "paragraph"
            raw = _uncommented(token.content[:_MAX_BLOCK])
            yield Passage(kind, line, visible(raw), raw, level=level)
        elif token.type in ("fence", "code_block"):
            code = token.content.removesuffix("\n")
            yield Passage("code", line + (token.type == "fence"), code, code)
        elif token.type == "html_block":
            raw = _uncommented(token.content[:_MAX_BLOCK])
            if raw.strip():
                yield Passage("paragraph", line, visible(raw), raw)
        above = token.type
