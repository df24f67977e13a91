"""How a file that lies somewhere differs from what rendering gives."""

from __future__ import annotations

import difflib


def text_difference(path_in_repo: str, there: bytes, rendered: bytes, *, where: str) -> str:
    """A unified diff, each line ended; empty for equal bytes.

    Bytes that are not UTF-8 are shown as backslash escapes.

    Args:
        path_in_repo: the file.
        there: what lies there; empty where there is no such file.
        rendered: what rendering gives.
        where: of the first, such as `on disk`.
    """
    lines = difflib.unified_diff(
        there.decode("utf-8", "backslashreplace").splitlines(keepends=True),
        rendered.decode("utf-8").splitlines(keepends=True),
        fromfile=f"{path_in_repo} ({where})",
        tofile=f"{path_in_repo} (rendered now)",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
