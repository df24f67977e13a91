"""What `--help` prints of a verb: its docstring, the example in one line that can be copied."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

EXAMPLE = "Example: "


def help_text(command: Callable[..., Any]) -> str:
    """The docstring of a verb, with the mark that keeps its example from being wrapped."""
    text = inspect.getdoc(command) or ""
    # A paragraph that begins with a backspace is printed as it is.
    return text.replace(f"\n\n{EXAMPLE}", f"\n\n\b\n{EXAMPLE}")


def example_of(command: Callable[..., Any]) -> str | None:
    """The command line of a verb's example, without `release`; None where it has none."""
    text = inspect.getdoc(command) or ""
    lines = [line for line in text.splitlines() if line.startswith(f"{EXAMPLE}release ")]
    return lines[0].removeprefix(f"{EXAMPLE}release ") if lines else None
