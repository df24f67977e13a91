"""How far a task is: a moving bar on a terminal, a line now and then in a log file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from manifests.progress import Task

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

# A log gets a line once a task is a tenth further, but not within this time of the last one; and
# after the second time in any case, so that a long task shows that it is alive.
LEAST_SECONDS = 30.0
MOST_SECONDS = 300.0
_LEAST_SHARE = 0.1
_BAR_WIDTH = 20
_NARROW_COLUMNS = 60


class LinesTask:
    """A task in a log file: a line at intervals, each complete in itself."""

    def __init__(
        self,
        description: str,
        *,
        total: float | None,
        clock: Callable[[], float],
        write: Callable[[str], None],
    ) -> None:
        """Start counting; `clock` gives seconds, `write` takes one line."""
        self._description, self._total, self._clock, self._write = description, total, clock, write
        self._done, self._text = 0.0, ""
        self._started = self._written_at = clock()
        self._written_done = 0.0

    def advance(self, amount: float = 1) -> None:
        """Count, and write a line if it is time for one."""
        self._done += amount
        now = self._clock()
        since = now - self._written_at
        is_further = self._total is not None and (
            self._done - self._written_done >= _LEAST_SHARE * self._total
        )
        is_over = self._total is not None and self._done >= self._total
        if (is_further and not is_over and since >= LEAST_SECONDS) or since >= MOST_SECONDS:
            self._write(f"{self._description}: {self._how_far(now)}{self._ending()}")
            self._written_at, self._written_done = now, self._done

    def status(self, text: str) -> None:
        """Keep the text for the next line."""
        self._text = text

    def finish(self) -> None:
        """Write how long it took, and the last text."""
        seconds = self._clock() - self._started
        self._write(f"{self._description}: {seconds:.1f} s{self._ending()}")

    def _how_far(self, now: float) -> str:
        if not self._total:
            return f"{self._done:.0f} done"
        share = min(1.0, self._done / self._total)
        counted = f"{share:.0%} ({self._done:.0f} of {self._total:.0f})"
        if share == 0:
            return counted
        left = (now - self._started) * (1 - share) / share
        return f"{counted}, {shown_duration(left)} left"

    def _ending(self) -> str:
        return f"; {self._text}" if self._text else ""


class BarTask:
    """A task that a rich progress bar shows."""

    def __init__(self, bars: Progress, task_id: TaskID, harmless: Callable[[str], str]) -> None:
        """Show task `task_id` of `bars`; texts go through `harmless`."""
        self._bars, self._task_id, self._harmless = bars, task_id, harmless

    def advance(self, amount: float = 1) -> None:
        """Move the bar."""
        self._bars.advance(self._task_id, amount)

    def status(self, text: str) -> None:
        """Show the text at the bar's end."""
        self._bars.update(self._task_id, status=self._harmless(text))


@contextmanager
def bar(
    console: Console, description: str, *, total: float | None, harmless: Callable[[str], str]
) -> Iterator[Task]:
    """A bar with count, time left and status, for as long as the block runs."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    def cut(ratio: int | None) -> Column:
        return Column(no_wrap=True, overflow="ellipsis", ratio=ratio)

    is_narrow = console.width < _NARROW_COLUMNS
    described = cut(1 if is_narrow else None)
    name = TextColumn("{task.description}", markup=False, table_column=described)
    count = MofNCompleteColumn(table_column=Column(no_wrap=True))
    # What does not fit is cut at its end, where the SAE's name is.
    status = TextColumn("{task.fields[status]}", markup=False, table_column=cut(1))
    moving, left = BarColumn(bar_width=_BAR_WIDTH), TimeRemainingColumn(compact=True)
    with Progress(
        # How many are done is worth more than a bar of three columns.
        *((name, count) if is_narrow else (name, moving, count, left, status)),
        console=console,
        expand=True,
    ) as bars:
        yield BarTask(bars, bars.add_task(description, total=total, status=""), harmless)


def shown_duration(seconds: float) -> str:
    """Such as `40 s`, `12 min` or `3 h 05 min`."""
    if round(seconds) < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min"
