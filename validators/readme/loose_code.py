"""Python that stands outside of code blocks, where Markdown joins its lines and eats its marks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from validators.readme.card_text import CardText
from validators.readme.findings import Finding

_IMPORT = re.compile(
    r"(?:from [A-Za-z_][\w.]{0,100} import (?:\w{1,60}(?:, ?)?){1,20}"
    r"|import [a-z_][\w.]{0,100}(?: as \w{1,40})?(?:, [a-z_][\w.]{0,100}(?: as \w{1,40})?){0,10})"
    r"\s*(?:#.{0,200})?$"
)
_CODE = re.compile(
    r"[A-Za-z_][\w.\[\]\"', ]{0,80} = \S|[a-z_][\w.]{0,60}\(.{0,200}\)\s*$"
    r"|#|from |import |def |class |with "
)
_OPENS = re.compile(
    r"(\s*)(?:def \w{1,60}\([^()]{0,200}\)(?: -> [\w\[\], ]{1,60})?"
    r"|class \w{1,60}(?:\([\w., ]{0,80}\))?"
    r"|with [\w.]{1,60}\([^()]{0,200}\)(?: as \w{1,40})?|for \w{1,40} in [\w.()]{1,80}|else|try)"
    r":\s*(?:#.{0,200})?$"
)


def lint_loose_code(card: CardText) -> Iterator[Finding]:
    """The first line of loose code, and lines that have lost their indentation."""
    inside = {
        passage.line + at
        for passage in card.passages
        if passage.kind == "code"
        for at in range(passage.text.count("\n") + 1)
    }
    loose = [
        (number, line)
        for number, line in enumerate(card.lines, start=1)
        if number not in inside and line.strip()
    ]
    begun = False
    for at, (number, line) in enumerate(loose):
        following = loose[at + 1] if at + 1 < len(loose) else None
        if not following:
            return
        if not begun and _IMPORT.match(line) and _CODE.match(following[1].lstrip()):
            begun = True
            what = f"{line.strip()!r:.80} and what follows stand in no code block"
            yield Finding(number, what, "warn", line)
        elif begun and (opened := _OPENS.match(line)):
            indent = len(following[1]) - len(following[1].lstrip())
            if indent <= len(opened[1]):
                what = f"not indented below {line.strip()!r:.60} on line {number}"
                yield Finding(following[0], what, "warn", following[1])
