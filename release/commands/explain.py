"""`release explain [CODE]`: one check's page, or the list of checks."""

from __future__ import annotations

from typing import Annotated

import typer

from release import completion


def explain(
    code: Annotated[
        str,
        typer.Argument(
            metavar="CODE",
            autocompletion=completion.check_codes,
            help="A check's code, such as W102, or its beginning, such as W; nothing: every check.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Print what a check looks at, why it matters, an example, and how to mend a failure.

    Example: release explain W102
    """
    from release.console import terminal_width, write_data
    from validators.presenting.pages import explain as explain_check

    write_data(explain_check(code, width=terminal_width()))
