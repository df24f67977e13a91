"""The error type for bad input: what was found, where, what was expected, what to do next."""

from __future__ import annotations

from typing import ClassVar


class ReleaseError(Exception):
    """Bad input or an unmet precondition, told so that the reader can mend it.

    Every package derives its own errors from this one; the command line prints them without a
    traceback and ends with `exit_code`. A bug is any other exception, and keeps its traceback.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        next_step: str | None = None,
    ) -> None:
        """Describe one problem.

        Args:
            what: what was found, as a sentence without a full stop.
            where: the file, line, key, URL or SAE it was found in.
            expected: what was expected, and who says so.
            next_step: what the reader should do, with the command where there is one.
        """
        super().__init__(what)
        self.what = what
        self.where = where
        self.expected = expected
        self.next_step = next_step

    def __str__(self) -> str:
        """The problem in up to four lines."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        lines = [head]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.next_step:
            lines.append(f"  next: {self.next_step}")
        return "\n".join(lines)


class UsageError(ReleaseError):
    """The command was called with a target or an option that cannot be acted on."""

    exit_code = 2


class MissingExtra(ReleaseError):
    """A step needs a package of an extra that is not installed."""

    exit_code = 3

    def __init__(self, *, needed_for: str, package: str, extra: str) -> None:
        """Name the step, the package it lacks and the extra that brings it."""
        super().__init__(
            f"{needed_for} needs the package {package}, which is not installed",
            expected=f"the extra '{extra}' of sae-release",
            next_step=f'python -m pip install "sae-release[{extra}]"',
        )
        self.extra = extra
