"""Text of a manifest or a report, written into Markdown so that it stays text.

The Hub renders CommonMark with tables, strikethrough and a subset of HTML. Text that passed through
here is one line, opens no link, tag, fence, emphasis or table cell, and starts no block, wherever
it stands. A bare URL is still turned into a link to itself.

Source: CommonMark 0.31 (backslash escapes, entity references, emphasis), GFM tables.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable


class Markdown(str):
    """Text that is Markdown already; templates print it as it is."""

    __slots__ = ()


_ESCAPED = str.maketrans(
    {
        **{character: f"\\{character}" for character in "\\`*[]|~"},
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
    }
)
_BLOCK_START = re.compile(r"^([-+=:]|[0-9]{1,9}(?=[.)](?:\s|$)))")
_PLAIN_CODE = re.compile(r"[\w./:@+=,{}()\[\]-]+(?: [\w./:@+=,{}()\[\]-]+)*", re.ASCII)


def markdown_text(text: str) -> Markdown:
    """Escape a text for any inline place of a Markdown document, table cells included.

    Runs of white space, line breaks among them, become one space. Control characters, lone
    surrogates and characters that turn the direction of writing become U+FFFD.
    """
    printable = "".join(
        "\N{REPLACEMENT CHARACTER}" if _is_hidden(character) else character for character in text
    )
    line = " ".join(printable.split()).translate(_ESCAPED)
    line = re.sub("_+", _escape_unless_inside_a_word, line)
    line = re.sub(r"(?<!\S)#", r"\\#", line)
    return Markdown(_BLOCK_START.sub(_escape_block_start, line))


def code_span(text: str) -> Markdown:
    """Show a name or a path as code; one that could end the span goes into a `<code>` element."""
    if _PLAIN_CODE.fullmatch(text):
        return Markdown(f"`{text}`")
    return Markdown(f"<code>{markdown_text(text)}</code>")


def code_spans(texts: Iterable[str]) -> Markdown:
    """Names as code, with commas between them; `none` when there are none."""
    return Markdown(", ".join(code_span(text) for text in texts) or "none")


def python_literal(value: str | int | bool) -> Markdown:
    """A value as Python source in ASCII: on one line, so that it cannot end a code fence."""
    source = ascii(value)
    if source.startswith("'") and '"' not in source:
        source = f'"{source[1:-1]}"'
    return Markdown(source)


def _is_hidden(character: str) -> bool:
    if character.isspace():
        return False
    return unicodedata.category(character) in ("Cc", "Cs") or (
        unicodedata.bidirectional(character)
        in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    )


def _escape_unless_inside_a_word(run: re.Match[str]) -> str:
    # Between two letters or digits an underscore can neither open nor close emphasis.
    before, after = run.string[: run.start()][-1:], run.string[run.end() :][:1]
    return run.group() if before.isalnum() and after.isalnum() else r"\_" * len(run.group())


def _escape_block_start(start: re.Match[str]) -> str:
    found = start.group()
    return f"{found}\\" if found.isdigit() else f"\\{found}"
