"""Text of strangers, made safe to print on one line and to write into a comment."""

from __future__ import annotations

MAX_CHARACTERS = 200


def one_line(value: object, *, at_most: int = MAX_CHARACTERS) -> str:
    """A value as one printable line: white space collapsed, control characters dropped, cut."""
    text = " ".join(str(value)[: at_most * 4].split())
    text = "".join(character for character in text if character.isprintable())
    return text if len(text) <= at_most else f"{text[: at_most - 3]}..."
