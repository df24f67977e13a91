"""The lines as a person reads them, and as a program does."""

from __future__ import annotations

import json
import textwrap
from collections import Counter

from release.doctor.line import Line, State, exit_code

_INDENT = " " * 9


def line_text(line: Line, *, width: int) -> str:
    """State, topic and what was found, wrapped; then the mending line, whole, to be copied."""
    told = textwrap.fill(
        f"{line.topic}: {line.found}",
        width=max(width, 30),
        initial_indent=f"{line.state:<9}",
        subsequent_indent=_INDENT,
        # A path in two lines is no path.
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{told}\n{_INDENT}next: {line.mend}" if line.mend else told


def verdict(lines: list[Line], *, width: int) -> str:
    """How many lines of each state, and what that amounts to."""
    counted = Counter(line.state for line in lines)
    names = {State.OK: "ok", State.NOTE: "to note", State.MISSING: "missing"}
    counts = ", ".join(f"{counted[state]} {name}" for state, name in names.items())
    n_broken = counted[State.BROKEN]
    if n_broken:
        end = f"{n_broken} broken: do what stands under `next` there first."
    elif counted[State.MISSING]:
        end = "nothing broken. What is missing is needed only for what its line names."
    else:
        end = "nothing broken."
    return textwrap.fill(f"{counts}, {end}", width=max(width, 30))


def examination_json(lines: list[Line], *, version: str) -> str:
    """All lines as one document."""
    return json.dumps(
        {
            "tool": version,
            "exit_code": exit_code(lines),
            "lines": [line.as_json() for line in lines],
        },
        indent=2,
        ensure_ascii=False,
    )
