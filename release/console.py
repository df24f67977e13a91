"""The one place that writes to the terminal: results to stdout, everything else to stderr.

Colour appears on a terminal only, and `NO_COLOR` is obeyed; how far a task is, see
`release.task_display`. A character that the console's encoding lacks is written as an escape
instead of raising an error.
"""

from __future__ import annotations

import io
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

    from rich.console import Console, RenderableType

    from validators.report import Report


def make_streams_tolerant() -> None:
    """Let stdout and stderr escape what their encoding cannot write (a Windows code page)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def stdout_console() -> Console:
    """Where results go."""
    from rich.console import Console

    return Console(soft_wrap=False, highlight=False, emoji=False, markup=False)


def stderr_console() -> Console:
    """Where progress, notes and errors go."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, highlight=False, emoji=False, markup=False)


def show(*renderables: RenderableType) -> None:
    """Print results for people to stdout.

    A sentence is left to the terminal to break: in a log file, a path in two lines is no path.
    """
    console = stdout_console()
    for renderable in renderables:
        console.print(renderable, soft_wrap=isinstance(renderable, str))


def show_report(
    report: Report, *, next_command: str | None = None, mend_command: str | None = None
) -> None:
    """Print a report for people to stdout."""
    from validators.mendable import mendable_codes
    from validators.presenting.present import NEXT_COMMAND, report_text

    console = stdout_console()
    text = report_text(
        report,
        width=console.width,
        colour=console.color_system not in (None, "windows"),
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
    """Columns that a person sees; 80 where there is no terminal."""
    return stdout_console().width


def say(text: str) -> None:
    """Say one line on stderr."""
    stderr_console().print(harmless(text))


def show_error(error: ReleaseError) -> None:
    """Print an error on stderr, its first line marked."""
    stderr_console().print(harmless(f"error: {error}"), style=None)


def harmless(text: str) -> str:
    """Text in which a stranger's words steer neither a terminal nor a workflow's log."""
    from validators.presenting.printable import no_command, printable

    return "\n".join(no_command(line) for line in printable(text).split("\n"))


class TerminalProgress:
    """Bars on a terminal, a line now and then elsewhere (see `manifests.progress`)."""

    def __init__(
        self, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Show on stderr, unless a test gives another console and clock."""
        self._console, self._clock = console or stderr_console(), clock

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(harmless(text))

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
