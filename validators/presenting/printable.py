"""Text from a stranger's files, so that it can be shown: it steers nothing, and has a bound."""

from __future__ import annotations

import unicodedata

MAX_SHOWN = 600


def printable(text: str) -> str:
    """The text with control characters as escapes, so that it cannot steer a terminal.

    A line feed stays; so does every character that only prints. Other line breaks, and characters
    that reorder or hide others, count as controls.
    """
    return "".join(
        char.encode("unicode_escape").decode("ascii") if _steers(char) else char for char in text
    )


def is_printable(name: str) -> bool:
    """Whether a name can be shown as it is on one line, and written to a file as UTF-8."""
    return not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name)


def _steers(char: str) -> bool:
    category = unicodedata.category(char)
    return char != "\n" and (category.startswith("C") or category in ("Zl", "Zp"))


def bounded(text: str, most: int = MAX_SHOWN) -> str:
    """The beginning of a text, and how much of it was left out."""
    if len(text) <= most:
        return text
    return f"{text[:most].rstrip()} ... ({len(text) - most} more characters)"


def one_line(text: str, most: int = MAX_SHOWN) -> str:
    """The text as one printable, bounded line."""
    return bounded(" ".join(printable(text).split()), most)


def name_of(text: str) -> str:
    """An id or a path, printable and on one line, whatever it holds."""
    return bounded(printable(text).replace("\n", "\\n"))


def no_command(line: str) -> str:
    """A line that a workflow's log does not take for a command.

    GitHub acts on lines that begin with `::`, after white space, or hold `##[`.
    """
    line = line.replace("##[", r"#\x23[")
    body = line.lstrip()
    if not body.startswith("::"):
        return line
    return line[: len(line) - len(body)] + r"\x3a" + body[1:]
