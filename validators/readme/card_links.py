"""Links of a card that lead nowhere: files that are not there, headings, and empty promises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import normpath
from urllib.parse import unquote

from validators.readme.card_text import CardText, Passage
from validators.readme.findings import Finding, Surroundings

_LINK = re.compile(
    r"!?\[[^\[\]\n]{0,300}\]\(<?([^()\s<>]{0,1000}(?:\([^()\s]{0,200}\))?)>?[^()\n]{0,200}\)"
)
_HTML = re.compile(r"<(?:a|img)\b[^<>]{0,300}?\b(?:href|src)=[\"']([^\"'<>]{1,1000})[\"']")
_CODE_SPAN = re.compile(r"(`{1,3})[^`\n]{1,300}\1")
_SCHEME = re.compile(r"[a-zA-Z][\w+.-]{1,20}:|//")
_ID = re.compile(r"\b(?:id|name)=[\"']([^\"'<>\s]{1,200})[\"']")
_PROMISE = re.compile(r"\b(?:see|see here|at|here|found at|available at|described in):\s*$", re.I)
_ANSWERS = re.compile(r"https?://|\]\(|\w/\w|arXiv|\bdoi\b|`|@", re.I)


def lint_links(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Relative links against the repository's files, anchors against headings, `see:` at an end."""
    anchors = {anchor for passage in card.passages for anchor in _anchors(passage)}
    paths = {"."} | {
        "/".join(parts[:n])
        for file in known.files
        for parts in [file.split("/")]
        for n in range(1, len(parts) + 1)
    }
    for passage in card.prose:
        text = _CODE_SPAN.sub(lambda m: " " * len(m[0]), passage.raw)
        for pattern in (_LINK, _HTML):
            for found in pattern.finditer(text):
                line = passage.line + text.count("\n", 0, found.start())
                finding = _target(line, found[1].strip(), anchors, paths)
                if finding:
                    yield finding
    for line, target in card.references:
        finding = _target(line, target, anchors, paths)
        if finding:
            yield finding
    yield from _promises(card)


def _target(line: int, target: str, anchors: set[str], paths: set[str]) -> Finding | None:
    if not target or target == "#":
        return Finding(line, "a link without a target", "warn", target)
    path, _, fragment = target.partition("#")
    if _SCHEME.match(target) or target.startswith("/"):
        return None
    if not path:
        named = unquote(fragment).lower().removeprefix("user-content-")
        if named in anchors or _plain(named) in anchors:
            return None
        return Finding(line, f"no heading for the link to #{fragment:.80}", "warn", target)
    wanted = normpath(unquote(path.partition("?")[0]))
    if wanted in paths:
        return None
    return Finding(
        line, f"the link to {target!r:.120}, which is not in the repository", "fail", target
    )


def _anchors(passage: Passage) -> Iterator[str]:
    """Ids written as HTML, and what may be made of a heading.

    Hosts differ in what becomes of signs: they are left out, or a dash takes their place.
    """
    yield from (anchor.lower() for anchor in _ID.findall(passage.raw))
    if passage.kind == "heading":
        words = passage.text.strip().lower()
        yield _plain(re.sub(r"[^\w\- ]", "", words))
        yield _plain(words)


def _plain(text: str) -> str:
    return re.sub(r"[^\w]+", "-", text).strip("-")


def _promises(card: CardText) -> Iterator[Finding]:
    """A paragraph that ends in "see:", before a block that names no place."""
    for at, passage in enumerate(card.passages):
        found = _PROMISE.search(passage.text) if passage.kind == "paragraph" else None
        if not found:
            continue
        following = card.passages[at + 1] if at + 1 < len(card.passages) else None
        if (
            following is None
            or following.kind == "heading"
            or (following.kind == "paragraph" and not _ANSWERS.search(following.raw))
        ):
            line = passage.line + passage.text.rstrip().count("\n")
            yield Finding(line, f"{found[0].strip()!r} is followed by no link", "warn", found[0])
