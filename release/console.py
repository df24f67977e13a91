"""The one place that writes to the terminal: results to stdout, everything else to stderr.

Colour and moving bars appear on a terminal only, and `NO_COLOR` is obeyed; in a log file each task
is one line when it ends. A character that the console's encoding lacks is written as an escape
instead of raising an error.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from manifests.errors import ReleaseError
from manifests.progress import Task

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID

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
    """Print results for people to stdout."""
    console = stdout_console()
    for renderable in renderables:
        console.print(renderable)


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
    stderr_console().print(_harmless(text))


def show_error(error: ReleaseError) -> None:
    """Print an error on stderr, its first line marked."""
    stderr_console().print(_harmless(f"error: {error}"), style=None)


def _harmless(text: str) -> str:
    """Text in which a stranger's words steer neither a terminal nor a workflow's log."""
    from validators.presenting.printable import no_command, printable

    return "\n".join(no_command(line) for line in printable(text).split("\n"))


class TerminalProgress:
    """Progress as bars on a terminal, as plain lines elsewhere (see `manifests.progress`)."""

    def __init__(self) -> None:
        self._console = stderr_console()

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(_harmless(text))

    @contextmanager
    def task(self, description: str, *, total: float | None) -> Iterator[Task]:
        """Show one task while the block runs."""
        if not self._console.is_terminal:
            yield from self._plain(description)
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        with Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}", markup=False),
            console=self._console,
        ) as bars:
            yield _Bar(bars, bars.add_task(description, total=total, status=""))

    def _plain(self, description: str) -> Iterator[Task]:
        started = time.monotonic()
        line = _Line()
        yield line
        ending = f" ({_harmless(line.text)})" if line.text else ""
        self._console.print(f"{description}: {time.monotonic() - started:.1f} s{ending}")


class _Bar:
    """A task that a rich progress bar shows."""

    def __init__(self, bars: Progress, task_id: TaskID) -> None:
        self._bars, self._task_id = bars, task_id

    def advance(self, amount: float = 1) -> None:
        self._bars.advance(self._task_id, amount)

    def status(self, text: str) -> None:
        self._bars.update(self._task_id, status=_harmless(text))


class _Line:
    """A task of which only the last status is kept."""

    text = ""

    def advance(self, amount: float = 1) -> None:
        """Count nothing: a log file has no bar."""

    def status(self, text: str) -> None:
        self.text = text
