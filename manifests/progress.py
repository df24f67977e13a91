"""How a stage tells how far it is, without knowing whether anyone looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Task(Protocol):
    """One running piece of work."""

    def advance(self, amount: float = 1) -> None:
        """Count `amount` more units as done."""

    def status(self, text: str) -> None:
        """Show a short text beside the bar, such as the loss; what matters most comes first."""


class Progress(Protocol):
    """Where stages report progress; the command line draws bars, tests draw nothing."""

    @contextmanager
    def task(self, description: str, *, total: float | None) -> Iterator[Task]:
        """Show a task while the block runs; `total` is None when it is not known."""

    def note(self, text: str) -> None:
        """Say one line that stays: a stage that was skipped and why, a file written."""


class _SilentTask:
    def advance(self, amount: float = 1) -> None:
        """Count nothing."""

    def status(self, text: str) -> None:
        """Show nothing."""


class Silent:
    """Progress that nobody sees."""

    @contextmanager
    def task(self, description: str, *, total: float | None) -> Iterator[Task]:  # noqa: ARG002
        """Run the block."""
        yield _SilentTask()

    def note(self, text: str) -> None:
        """Say nothing."""
