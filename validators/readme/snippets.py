"""The code blocks of a repository's README, found as CommonMark does and parsed, never run here.

Source: CommonMark 0.31, section 4.5 (fenced code blocks). Every step is linear in the length of the
text, and the text, the number of blocks and the length of each are bounded.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

README = "README.md"
MAX_README_BYTES = 2_000_000
_MAX_BLOCKS = 200
_MAX_BLOCK_CHARACTERS = 50_000
_PYTHON = ("python", "py", "python3")
_SHELL_LINE = re.compile(r"[ \t]*[!%]")


@dataclass(frozen=True)
class Block:
    """One fenced code block.

    Attributes:
        line: the line of README.md on which its code begins, from 1.
        language: the first word of its info string in lower case; empty: none.
        code: its text, without the fence's indentation.
    """

    line: int
    language: str
    code: str


@dataclass(frozen=True)
class PythonBlock:
    """A block of Python, as far as it could be read.

    Attributes:
        line: the line of README.md on which its code begins, from 1.
        code: what a reader would run, without prompts and shell lines; as many lines as the block.
        tree: its syntax tree; None where there is none.
        error: why there is none, with the line of README.md.
        is_marked: the card says that it is Python.
    """

    line: int
    code: str
    tree: ast.Module | None
    error: str
    is_marked: bool


def python_blocks(markdown: str) -> tuple[PythonBlock, ...]:
    """The blocks that are marked as Python, and unmarked ones that import something."""
    found = []
    for block in fenced_blocks(markdown):
        if block.language in _PYTHON:
            found.append(_parsed(block, is_marked=True))
        elif not block.language and re.search(r"^[ \t]*(?:from|import)[ \t]", block.code, re.M):
            parsed = _parsed(block, is_marked=False)
            if parsed.tree is not None:
                found.append(parsed)
    return tuple(found)


def fenced_blocks(markdown: str) -> Iterator[Block]:
    """Fenced blocks in order, at most 200; one that is never closed ends with the text.

    A fence inside a list or a quotation is found too: its lines are then taken as they stand,
    less their common indentation.
    """
    fence, language, start, n_blocks = "", "", 0, 0
    taken: list[str] = []
    for number, line in enumerate(markdown.splitlines(), start=1):
        text = line.lstrip(" \t>")
        if not fence:
            opened = _opening(text)
            if opened is not None:
                (fence, language), start, taken = opened, number + 1, []
        elif _closes(text, fence):
            yield _block(start, language, taken)
            fence, n_blocks = "", n_blocks + 1
            if n_blocks == _MAX_BLOCKS:
                return
        else:
            taken.append(line)
    if fence:
        yield _block(start, language, taken)


def _opening(text: str) -> tuple[str, str] | None:
    """The run of backticks or tildes that opens a block, and the language it names."""
    mark = text[:1]
    if mark not in ("`", "~") or not text.startswith(mark * 3):
        return None
    rest = text.lstrip(mark)
    info = rest.strip()
    if mark == "`" and "`" in info:
        return None  # code within a line, not a fence
    word = info.split()[0] if info else ""
    return text[: len(text) - len(rest)], word.strip("{}.").partition(",")[0].lower()


def _closes(text: str, fence: str) -> bool:
    return text.startswith(fence) and not text.strip().strip(fence[0])


def _block(start: int, language: str, lines: list[str]) -> Block:
    quoted = [line.lstrip(" \t")[:1] == ">" for line in lines if line.strip()]
    if quoted and all(quoted):
        lines = [line.lstrip(" \t")[1:] for line in lines]
    return Block(start, language, textwrap.dedent("\n".join(lines)) + "\n")


def _parsed(block: Block, *, is_marked: bool) -> PythonBlock:
    code = _without_prompts(block.code)
    tree, error = None, ""
    if len(code) > _MAX_BLOCK_CHARACTERS:
        error = f"line {block.line}: a block of {len(code)} characters"
    else:
        try:
            tree = _tree(code)
        except SyntaxError as syntax:
            error = _error_in_readme(syntax, before=block.line - 1)
        except (ValueError, RecursionError, MemoryError) as refused:
            # What the parser gives up on: NUL characters, brackets within brackets without end.
            error = f"line {block.line}: {type(refused).__name__}"
    return PythonBlock(block.line, code, tree, error, is_marked)


def _error_in_readme(error: SyntaxError, *, before: int) -> str:
    """The parser's message with line numbers of README.md; `before`: lines above the block."""
    message = re.sub(r"\bon line (\d+)", lambda m: f"on line {before + int(m[1])}", error.msg)
    return f"line {before + (error.lineno or 1)}: {message}"


def _tree(code: str) -> ast.Module:
    with warnings.catch_warnings():
        # An odd escape in a string is no business of ours.
        warnings.simplefilter("ignore")
        flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        tree = compile(code, README, "exec", flags=flags, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    return tree


def _without_prompts(code: str) -> str:
    """What one would type: after `>>>` where there are prompts, and no shell lines of notebooks."""
    lines = code.splitlines()
    if any(line.startswith(">>>") for line in lines):
        lines = [line[4:] if line.startswith((">>>", "...")) else "" for line in lines]
    return "\n".join("" if _SHELL_LINE.match(line) else line for line in lines) + "\n"
