"""JSON files that are either the old version or the new one, never half of one."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")
_ATTEMPTS = 20


def retry_while_open_elsewhere(action: Callable[[], _T]) -> _T:
    """Run an action that Windows refuses while a virus scanner or indexer holds the file.

    Elsewhere a PermissionError does not go away by itself; it is raised after about a second.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return action()
        except PermissionError:
            time.sleep(0.05)
    return action()


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file in one step; a kill leaves the old file, and perhaps a `.new` beside it.

    The file is read only at start-up, so no reader of ours can have it open meanwhile.
    """
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="utf-8", newline="\n") as stream:
        json.dump(value, stream, ensure_ascii=False, indent=1, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    retry_while_open_elsewhere(lambda: fresh.replace(path))


def read_json(path: Path) -> Any:
    """The value in a JSON file, or None if there is no such file."""
    if not path.exists():
        return None
    return json.loads(path.read_text(encoding="utf-8"))


def remove_folder(path: Path) -> None:
    """Delete a folder, including files that git marked read-only (which Windows keeps)."""

    def make_writable_and_retry(function: Callable[[str], Any], name: str, _: Any) -> None:
        Path(name).chmod(0o700)
        retry_while_open_elsewhere(lambda: function(name))

    shutil.rmtree(path, onerror=make_writable_and_retry)
