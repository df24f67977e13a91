"""The program that runs a card's code blocks, in order and with shared names, as a reader would.

It gets the blocks as JSON on stdin, each with its line in README.md and whether it names a GPU, and
appends one JSON line for each to a file. Nothing of this package is imported.
"""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import inspect
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

BLOCKS, RESULTS = "blocks", "results"
_MESSAGE_CHARACTERS = 400


def main() -> None:
    """Run the blocks on stdin."""
    request = json.loads(sys.stdin.buffer.read().decode("utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    with Path(request[RESULTS]).open("a", encoding="utf-8", newline="\n") as results:
        for line, code, names_gpu in request[BLOCKS]:
            results.write(json.dumps({"line": line, "begun": True}) + "\n")
            results.flush()
            answer: dict[str, Any] = {"line": line, "lacks_gpu": names_gpu and not _has_gpu()}
            answer["error"] = None if answer["lacks_gpu"] else _error_of(line, code, names)
            results.write(json.dumps(answer) + "\n")
            results.flush()
            os.fsync(results.fileno())


def _has_gpu() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _error_of(line: int, code: str, names: dict[str, Any]) -> dict[str, Any] | None:
    """The error of a block: its line in README.md, its type and its message; None: it ran."""
    # Line numbers in tracebacks are then those of README.md.
    padded = "\n" * (line - 1) + code
    try:
        program = compile(padded, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if program.co_flags & inspect.CO_COROUTINE:
            asyncio.run(eval(program, names))  # noqa: S307 - what it is for
        else:
            exec(program, names)  # noqa: S102 - what it is for
    except SystemExit as ended:
        return None if ended.code in (None, 0) else _error(line, ended)
    except BaseException as error:  # noqa: BLE001 - whatever a reader would see is the answer
        return _error(line, error)
    return None


def _error(line: int, error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    at = [frame.lineno for frame in frames if frame.filename == "README.md" and frame.lineno]
    return {
        "line": at[-1] if at else line,
        "type": type(error).__name__,
        "message": " ".join(str(error).split())[:_MESSAGE_CHARACTERS],
        # What is not there: a variable, or a module.
        "name": error.name if isinstance(error, NameError | ImportError) else None,
    }


if __name__ == "__main__":
    main()
