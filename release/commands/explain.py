"""`release explain CODE`: one check's page."""

from __future__ import annotations

from typing import Annotated

import typer


def explain(
    code: Annotated[str, typer.Argument(metavar="CODE", help="A check's code, such as W102.")],
) -> None:
    """Print what a check looks at, why it matters, an example, and how to mend a failure.

    Example: release explain W102
    """
    from release.console import show
    from validators.registry import explain as explain_check

    show(explain_check(code))
