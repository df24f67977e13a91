"""Numbers that a template writes itself: nobody renders them, so they stay when a fact changes.

Looked at is what a template prints as it stands: not its expressions and statements, not its
comments, and of its Markdown no code, address, HTML tag or number of a list. Names hold digits
too; a short list has those that a card needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from manifests.errors import ReleaseError

# In place of an expression: it ends a word as a printed value would, and is no digit.
_VALUE = "\N{OBJECT REPLACEMENT CHARACTER}"
_NAME = re.compile(
    r"\b(?:SHA-(?:1|256|512)|UTF-(?:8|16)|L[012]|(?:b?float|fp|bf|int|uint|nf|tf|fp8_e)\d+"
    r"|[48]-bit|GPT-2|Python 3|W3C|Apache-2\.0|CC-BY(?:-[A-Z]{2})*-\d\.\d)\b",
    re.IGNORECASE,
)
_NO_TEXT = re.compile(
    r"<!--.*?-->|<[A-Za-z/][^>]*>|`+[^`\n]*`+|\]\([^)\n]*\)|https?://\S+|&#?\w+;", re.DOTALL
)
_LIST_NUMBER = re.compile(r"^[ \t>]*\d{1,9}[.)](?=\s)", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?(?:\s?%)?")


@dataclass(frozen=True)
class Literal:
    """A number in the text of a template; `line` counts from 1."""

    line: int
    number: str


class NoTemplate(ReleaseError):
    """A file that Jinja cannot read as a template."""


def literals_in(template: str) -> tuple[Literal, ...]:
    """The numbers that the text of a Markdown template holds, from the first line on.

    Raises:
        NoTemplate: it breaks Jinja's grammar.
    """
    text = _text_of(template)
    for pattern in (_FENCE, _NO_TEXT, _LIST_NUMBER, _NAME):
        text = pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)
    return tuple(
        Literal(text.count("\n", 0, match.start()) + 1, match.group().strip())
        for match in _NUMBER.finditer(text)
    )


def _text_of(template: str) -> str:
    """The text that stands outside of expressions, statements and comments, on its own lines."""
    from jinja2 import Environment, TemplateSyntaxError

    parts: list[str] = []
    n_lines = 1
    try:
        for line, kind, value in Environment(keep_trailing_newline=True, autoescape=True).lex(
            template
        ):
            if kind == "variable_begin":
                parts.append(_VALUE)
            if kind != "data":
                continue
            parts.append("\n" * (line - n_lines) + value)
            n_lines = max(line, n_lines) + value.count("\n")
    except TemplateSyntaxError as error:
        raise NoTemplate(
            f"is no template: {error.message}",
            where=f"line {error.lineno}",
            expected="a template of Jinja",
        ) from error
    return "".join(parts)
