"""The one place that writes to the terminal: results to stdout, everything else to stderr.

Colour appears on a terminal only, and `NO_COLOR` is obeyed; how far a task is, see
`release.task_display`. A character that the console's encoding lacks is written as an escape
instead of raising an error.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from manifests.errors import ReleaseError
from manifests.progress import Task
from release.task_display import LinesTask, bar

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from release.text_table import TextTable
    from validators.report import Report

# The width of a file: no line that is written for people is as long.
UNBOUNDED = 1_000_000
_FULL_WIDTH = 80
# The indent of a line, and a short label that stands in a column of its own.
_HEAD = re.compile(r" *(?:\S+(?: \S+){0,2} {2,})?")


def make_streams_tolerant() -> None:
    """Let stdout and stderr escape what their encoding cannot write (a Windows code page)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def stdout_console() -> Console:
    """Where results go."""
    return _console(stderr=False, soft_wrap=False)


def stderr_console() -> Console:
    """Where progress, notes and errors go."""
    return _console(stderr=True, soft_wrap=True)


def _console(*, stderr: bool, soft_wrap: bool) -> Console:
    from rich.console import Console

    console = Console(
        stderr=stderr, soft_wrap=soft_wrap, highlight=False, emoji=False, markup=False
    )
    columns = os.environ.get("COLUMNS", "")
    is_width_given = columns.isdecimal() and int(columns) > 0
    if not console.is_terminal and not is_width_given:
        # In a log file every line stays whole: a path in two lines is no path.
        console.size = (UNBOUNDED, console.height)
    elif console.is_dumb_terminal or console.width < 1:
        # A terminal without cursor movements is 80 columns wide to rich, however wide it is, and
        # one has no column at all where COLUMNS is 0.
        console.size = shutil.get_terminal_size()
    return console


def show(*results: str | TextTable) -> None:
    """Print results for people to stdout, to the width of a terminal."""
    console = stdout_console()
    for result in results:
        text = result if isinstance(result, str) else result.text(console.width)
        console.print(_to_width(text, console), soft_wrap=True)


def show_report(
    report: Report, *, next_command: str | None = None, mend_command: str | None = None
) -> None:
    """Print a report for people to stdout."""
    from validators.mendable import mendable_codes
    from validators.presenting.present import NEXT_COMMAND, SCREEN_LINES, report_text

    console = stdout_console()
    text = report_text(
        report,
        width=console.width,
        # Where half as much fits on a line, twice as many lines tell as much.
        height=max(SCREEN_LINES, SCREEN_LINES * _FULL_WIDTH // console.width),
        colour=console.color_system not in (None, "windows") and not console.no_color,
        encoding=sys.stdout.encoding or "utf-8",
        mendable=mendable_codes(report),
        mend_command=mend_command,
        next_command=next_command or NEXT_COMMAND,
    )
    sys.stdout.write(text)
    sys.stdout.flush()


def write_data(text: str) -> None:
    """Write machine-readable output to stdout, exactly as given, with a final newline."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def write_file(path: Path, text: str) -> None:
    """Write machine-readable output to a file in place of stdout."""
    from manifests.build_folder import write_atomically

    content = text if text.endswith("\n") else text + "\n"
    write_atomically(path, content.encode("utf-8", "backslashreplace"))


def terminal_width() -> int:
    """Columns that a person sees; more than any line has in a file or a pipe."""
    return stdout_console().width


def say(text: str) -> None:
    """Say one line on stderr."""
    console = stderr_console()
    console.print(_to_width(harmless(text), console))


def show_error(error: ReleaseError) -> None:
    """Print an error on stderr, its first line marked."""
    console = stderr_console()
    console.print(_to_width(harmless(f"error: {error}"), console))


def harmless(text: str) -> str:
    """Text in which a stranger's words steer neither a terminal nor a workflow's log."""
    from validators.presenting.printable import no_command, printable

    return "\n".join(no_command(line) for line in printable(text).split("\n"))


def _to_width(text: str, console: Console) -> str:
    """Text whose lines end between words where a person looks at them, and nowhere else.

    A terminal by itself ends them in the middle of a word. Paths, ids and commands stay whole.
    """
    if not console.is_terminal or max(map(len, text.split("\n"))) <= console.width:
        return text
    from validators.presenting.wrapping import wrapped

    lines = []
    for line in text.split("\n"):
        if len(line) <= console.width:
            lines.append(line)
            continue
        head = _HEAD.match(line)
        assert head is not None
        n_spaces = len(line) - len(line.lstrip(" "))
        rest = line[head.end() :]
        # A label beside which the first word does not fit gets no column of its own.
        n_head = head.end() if head.end() + len(rest.split(" ")[0]) <= console.width else n_spaces
        lines += wrapped(
            line[n_head:], width=console.width, first=line[:n_head], rest=" " * (n_spaces + 2)
        )
    return "\n".join(lines)


class TerminalProgress:
    """Bars on a terminal, a line now and then elsewhere (see `manifests.progress`)."""

    def __init__(
        self, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Show on stderr, unless a test gives another console and clock."""
        self._console, self._clock = console or stderr_console(), clock

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(_to_width(harmless(text), self._console))

    @contextmanager
    def task(self, description: str, *, total: float | None) -> Iterator[Task]:
        """Show one task while the block runs."""
        # A terminal that cannot move its cursor would show nothing before the end.
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            with bar(self._console, description, total=total, harmless=harmless) as shown:
                yield shown
            return
        lines = LinesTask(description, total=total, clock=self._clock, write=self.note)
        yield lines
        lines.finish()
