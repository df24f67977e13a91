"""Breaking prose into lines without breaking what a reader would copy: commands, paths, ids."""

from __future__ import annotations

import re

from rich.cells import cell_len

# Between backticks; a command of this tool with its arguments; a word.
_ATOM = re.compile(
    r"[^\s`]*`[^`]*`[^\s`]*"
    r"|release [a-z]+(?: --?[\w-]+(?: [^\s-]\S*)?| [A-Z][A-Z_]+\b\S*| [^\s`]*[./@=][^\s`]*\w)*\S*"
    r"|\S+"
)


def wrapped(text: str, *, width: int, first: str = "", rest: str = "") -> list[str]:
    """The lines of a text; each of its own line breaks stays.

    What is longer than a line stands on a line of its own, unbroken: the terminal breaks it
    without a character that would be copied.

    Args:
        text: prose that may hold commands between backticks.
        width: columns of a line.
        first: what the first line begins with.
        rest: what each further line begins with, such as the indent that hangs it.
    """
    lines = []
    start = first
    for paragraph in text.splitlines() or [""]:
        line, is_empty = start, True
        for atom in _ATOM.findall(paragraph):
            gap = "" if is_empty else " "
            if not is_empty and cell_len(line) + len(gap) + cell_len(atom) > width:
                lines.append(line)
                line, gap = rest, ""
            line += gap + atom
            is_empty = False
        lines.append(line)
        start = rest
    return [line.rstrip() for line in lines]
