"""One thing that was looked at: how it stands, and what mends it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How a thing stands.

    `ok` works. A `note` is worth knowing and stops nothing. `missing` is not there and needed only
    for what its line names. `broken` is there, or needed by all, and does not work.
    """

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True)
class Line:
    """What was found of one topic.

    Attributes:
        topic: a word or two, such as `python` or `extra ray`.
        state: how it stands.
        found: a sentence without a full stop.
        mend: what to type or to do, in one line that can be copied; None where nothing is to mend.
    """

    topic: str
    state: State
    found: str
    mend: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The line as plain data."""
        return asdict(self)


def exit_code(lines: list[Line]) -> int:
    """1 where something is broken, else 0: what is missing is nobody's fault and may stay so."""
    return int(any(line.state is State.BROKEN for line in lines))
