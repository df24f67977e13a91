"""Run a program for which one repository on the Hub stands still at one commit.

    python -P at_commit.py OWNER/NAME OID PROGRAM

SAELens names no revision when it downloads, and a card names `main`. Here both mean the commit; any
other repository, and any other revision of this one, is asked for as the program names it. Nothing
of this package is imported.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

_HEAD = (None, "main")


def main() -> None:
    """Change what downloads, then run the program."""
    from huggingface_hub import _snapshot_download, file_download

    repo_id, oid, program = sys.argv[1:]
    # Before anything else imports the two by name.
    for module, name in (
        (file_download, "hf_hub_download"),
        (_snapshot_download, "snapshot_download"),
    ):
        setattr(module, name, _pinned(getattr(module, name), repo_id, oid))
    sys.argv = [program]
    runpy.run_path(program, run_name="__main__")


def _pinned(download: Callable[..., Any], repo_id: str, oid: str) -> Callable[..., Any]:
    @wraps(download)
    def pinned(*arguments: Any, **options: Any) -> Any:
        asked = arguments[0] if arguments else options.get("repo_id")
        is_ours = isinstance(asked, str) and asked.lower() == repo_id.lower()
        if is_ours and options.get("revision") in _HEAD:
            options["revision"] = oid
        return download(*arguments, **options)

    return pinned


if __name__ == "__main__":
    main()
