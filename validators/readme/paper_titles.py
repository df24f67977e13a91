"""Papers on a card as the manifest cites them: title and authors by arXiv id."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from validators.readme.card_text import CardText
from validators.readme.findings import Finding, Surroundings

_QUOTED = re.compile(r"[\"\u201c]([^\"\u201c\u201d\n]{12,300})[\"\u201d]")
_TITLE = re.compile(r"\btitle\s{0,4}=\s{0,4}[{\"]{1,2}([^{}\"\n]{4,300})")
_AUTHOR = re.compile(r"\bauthor\s{0,4}=\s{0,4}[{\"]{1,2}([^{}\"\n]{2,600})")
_ENTRY_LINES = 12


def lint_papers(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Quoted titles beside an id, and BibTeX entries with it, against the manifest."""
    for arxiv, (title, authors) in known.papers.items():
        for sentence in card.sentences:
            if arxiv in sentence.text:
                for found in _QUOTED.finditer(sentence.text):
                    line = sentence.line_of(found.start())
                    yield from _title(line, found[1], title, arxiv)
        lines = card.lines
        for at, text in enumerate(lines):
            if text.lstrip().startswith("@"):
                yield from _entry(at + 1, lines[at : at + _ENTRY_LINES], arxiv, title, authors)


def _entry(
    line: int, lines: tuple[str, ...], arxiv: str, title: str, authors: tuple[str, ...]
) -> Iterator[Finding]:
    end = next((at for at, text in enumerate(lines) if text.strip() == "}"), len(lines))
    lines = lines[:end]
    if not any(arxiv in text for text in lines):
        return
    for at, text in enumerate(lines):
        if (found := _TITLE.search(text)) is not None:
            yield from _title(line + at, found[1], title, arxiv)
        if (found := _AUTHOR.search(text)) is not None:
            named = [name for name in re.split(r"\s+and\s+", found[1]) if name.strip()]
            if len(named) != len(authors) and named[-1].strip() != "others":
                what = f"{len(named)} of the {len(authors)} authors of arXiv:{arxiv}"
                yield Finding(line + at, what, "warn", found[1])


def _title(line: int, stated: str, title: str, arxiv: str) -> Iterator[Finding]:
    mine, its = _plain(stated), _plain(title)
    if its.startswith(mine):
        return  # the title, or its beginning
    if difflib.SequenceMatcher(None, mine, its, autojunk=False).ratio() > 0.5:
        what = f"{stated!r:.120} for arXiv:{arxiv}, whose title is {title!r:.120}"
        yield Finding(line, what, "warn", stated)


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s]", " ", text.casefold()).split())
