"""A card line by line: the kind of each line and the section it stands in.

Pages that were copied without their markup are read as well: there a short line between blank ones
is a heading, and each line is a paragraph unless it was wrapped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from validators.readme.card_text import CardText, visible

Kind = Literal["heading", "bullet", "row", "text", "code"]

_BULLET = re.compile(r"\s{0,8}(?:[-*+•]|\d{1,2}[.)])\s+(?P<text>\S.*)")
_ROW = re.compile(r"\s{0,3}\|(?P<cells>.*)\|\s*")
_RULE = re.compile(r"[\s|:-]+")
_TITLE_WORDS = re.compile(
    r"(?:known |main )?limitations|caveats?\b.{0,60}|.{0,60}\bcaveats?\b.{0,40}"
    r"|(?:not )?(?:recommended|intended)(?: for| uses?)?|out[- ]of[- ]scope.{0,20}"
    r"|(?:basic )?usage|(?:loading|how to use).{0,40}|citations?(?: .{0,20})?|bibtex|how to cite"
    r"|training(?: details| procedure)?|sae format|key findings.{0,60}|(?:key )?results"
    r"|what's in this repo\w*|research context|architecture|references|license",
    re.IGNORECASE,
)
_IMPORT = re.compile(
    r"(?:from [A-Za-z_][\w.]{0,100} import |import [a-z_][\w.]{0,100}\s*(?:$|as ))"
)
_CODE = re.compile(
    r"\s*(?:#|from [\w.]{1,100} import |import \w|def \w|with \w|return\b|@\w{1,40}\{|[})\]]"
    r"|[A-Za-z_][\w.\[\]\"']{0,80}\s{0,12}=[^=]"
    r"|[A-Za-z_][\w.]{0,80}\((?:.{0,300}[),(])?\s*(?:#.{0,200})?$"
    r"|\w{1,20}, \w{1,20} = )"
)
_BIBTEX = re.compile(r"\s*@[a-z]{3,20}\{", re.IGNORECASE)
# A card is a page of text; more than this would only cost time.
MAX_CHARACTERS = 150_000
_MAX_TITLE, _MAX_LINE, _MAX_LINES = 90, 4_000, 100
# Lines that an editor wrapped are about so long.
_WRAPPED_FROM, _WRAPPED_TO = 60, 120


@dataclass(frozen=True)
class CardLine:
    """One line that is not blank.

    `number` is its line in README.md, from 1; `text` is what a reader sees, without a list's mark;
    `section` is the heading above. A row has `cells`, and `header` where it is not the header's.
    """

    number: int
    kind: Kind
    text: str
    raw: str
    section: str = ""
    cells: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    after_blank: bool = False


@dataclass(frozen=True)
class Paragraph:
    """Text lines that belong together, joined by blanks; a bullet stands for itself."""

    lines: tuple[CardLine, ...]
    text: str
    raw: str

    @property
    def numbers(self) -> frozenset[int]:
        """The lines of README.md that it takes up."""
        return frozenset(line.number for line in self.lines)

    @property
    def section(self) -> str:
        """The heading above."""
        return self.lines[0].section


def card_lines(card: CardText) -> tuple[CardLine, ...]:
    """All lines but blank ones and the rules of tables."""
    marked = has_markup(card)
    headings = {p.line for p in card.passages if p.kind == "heading"} if marked else set()
    found = list(_kinds(card, headings, _code_lines(card), is_pasted=not marked))
    return tuple(_sections(found))


def has_markup(card: CardText) -> bool:
    """Whether the page has headings; in one that was copied from a browser, only comments look so.

    Such a comment, `# Load it`, stands in code that lost its block.
    """
    levels = {passage.level for passage in card.passages if passage.kind == "heading"}
    if max(levels, default=0) > 1:
        return True
    code = _code_lines(card)
    has_loose_code = any(
        number not in code and _IMPORT.match(line) for number, line in enumerate(card.lines, 1)
    )
    return bool(levels) and not has_loose_code


def _code_lines(card: CardText) -> set[int]:
    return {
        passage.line + at
        for passage in card.passages
        if passage.kind == "code"
        for at in range(passage.text.count("\n") + 1)
    }


def paragraphs(lines: tuple[CardLine, ...], *, has_markup: bool) -> Iterator[Paragraph]:
    """Text and bullets, wrapped lines joined; headings, rows and code part them."""
    open_lines: list[CardLine] = []
    for line in lines:
        joins = (
            0 < len(open_lines) < _MAX_LINES
            and line.kind == "text"
            and _continues(open_lines[-1], line, has_markup)
        )
        if open_lines and not joins:
            yield _paragraph(open_lines)
            open_lines = []
        if line.kind in ("text", "bullet"):
            open_lines.append(line)
    if open_lines:
        yield _paragraph(open_lines)


def _continues(before: CardLine, line: CardLine, has_markup: bool) -> bool:
    if line.number != before.number + 1:
        return False
    if has_markup:
        return True
    return _WRAPPED_FROM <= len(before.raw) <= _WRAPPED_TO


def _paragraph(lines: list[CardLine]) -> Paragraph:
    return Paragraph(
        tuple(lines), " ".join(line.text for line in lines), " ".join(line.raw for line in lines)
    )


def _kinds(
    card: CardText, headings: set[int], code: set[int], *, is_pasted: bool
) -> Iterator[CardLine]:
    texts = card.lines
    loose, bibtex, is_first = False, False, is_pasted
    header: tuple[str, ...] = ()
    for at, whole in enumerate(texts):
        number, raw = at + 1, whole[:_MAX_LINE]
        if not raw.strip():
            header = ()
            continue
        after_blank = at == 0 or not texts[at - 1].strip()
        line = CardLine(number, "text", visible(raw).strip(), raw.strip(), after_blank=after_blank)
        bibtex = bibtex or bool(_BIBTEX.match(raw))
        loose = loose or (is_pasted and bool(_IMPORT.match(raw)))
        is_comment = is_pasted and raw.startswith("#")
        if number in code or bibtex or is_comment or (loose and _CODE.match(raw)):
            bibtex = bibtex and raw.strip() != "}"
            yield replace(line, kind="code")
        elif number in headings:
            yield replace(line, kind="heading", text=line.text.lstrip("# "))
        elif row := _ROW.fullmatch(raw):
            if not _RULE.fullmatch(raw):
                cells = tuple(visible(cell).strip() for cell in row["cells"].split("|"))
                yield replace(line, kind="row", cells=cells, header=header)
                header = header or cells
        elif bullet := _BULLET.fullmatch(raw):
            yield replace(line, kind="bullet", text=visible(bullet["text"]).strip())
        elif not set(raw.strip()) <= set("-=`~"):
            next_blank = at + 1 >= len(texts) or not texts[at + 1].strip()
            is_title = is_pasted and _is_title(line.text, alone=after_blank and next_blank)
            # The first line of a pasted page is its title.
            is_title = is_title or (is_first and len(line.text) <= _MAX_TITLE)
            is_first = False
            yield replace(line, kind="heading" if is_title else "text")


def _is_title(text: str, *, alone: bool) -> bool:
    if len(text) > _MAX_TITLE:
        return False
    if _TITLE_WORDS.fullmatch(text.rstrip(" .:\u2014\u2013-")):
        return True
    return (
        alone
        and text[:1].isupper()
        and not text.endswith((".", ":", ",", ";"))
        and ": " not in text
    )


def _sections(lines: list[CardLine]) -> Iterator[CardLine]:
    section = ""
    for line in lines:
        if line.kind == "heading":
            section = line.text
        yield replace(line, section=section)
