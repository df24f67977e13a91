"""Plain text to read activations on, split into documents, for SAEs that come without data.

The set that every installation has is the reference manual that Python carries for its `help()`
(`pydoc_data.topics`) and the docstrings of some modules of its standard library: prose and code,
under Python's own licence, present wherever this package runs. It is English and technical.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from manifests.digests import bytes_sha256
from manifests.errors import UsageError

MAX_TEXT_BYTES = 50_000_000
_MIN_CHARACTERS = 200
_PIECE_CHARACTERS = 2_000
# Modules with long docstrings; read as source, never imported.
_MODULES = (
    "argparse", "bisect", "calendar", "collections", "configparser", "csv", "datetime", "decimal",
    "difflib", "doctest", "email.message", "fractions", "functools", "heapq", "inspect", "json",
    "logging", "pathlib", "pickle", "pickletools", "random", "shutil", "statistics", "string",
    "subprocess", "tarfile", "tempfile", "textwrap", "threading", "turtle", "typing", "unittest",
    "urllib.request", "uuid", "zipfile",
)  # fmt: skip


@dataclass(frozen=True)
class TextCorpus:
    """Documents, each once, and where they come from.

    Attributes:
        name: how reports call it, without a path.
        documents: the texts, in an order that depends on nothing but their content.
        sha256: digest of the documents.
    """

    name: str
    documents: tuple[str, ...]
    sha256: str


def shipped_corpus() -> TextCorpus:
    """The texts that come with Python."""
    from pydoc_data import topics

    found = [str(text) for _, text in sorted(topics.topics.items())]
    for module in _MODULES:
        found += _docstrings(module)
    return _corpus(f"reference texts of Python {platform.python_version()}", found)


def corpus_of_file(path: Path) -> TextCorpus:
    """The documents of a text file.

    `.jsonl`: each line is an object with the document in `text`. Anything else: paragraphs,
    separated by blank lines, are put together to documents of about 2,000 characters.

    Raises:
        UsageError: it cannot be read, is not UTF-8, too long, or holds hardly any text.
    """
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise UsageError(
                f"is {path.stat().st_size} bytes long",
                where=str(path),
                expected=f"at most {MAX_TEXT_BYTES} bytes; a few hundred kB are plenty",
            )
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(
            f"cannot be read: {error.strerror or error}", where=str(path), expected="a text file"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"is not UTF-8 (byte {error.start})", where=str(path), expected="UTF-8 text"
        ) from error
    is_jsonl = path.suffix == ".jsonl"
    found = list(_jsonl_texts(text, path)) if is_jsonl else list(_pieces(text))
    corpus = _corpus(path.name, found)
    if len(corpus.documents) < 2:
        raise UsageError(
            f"holds {len(corpus.documents)} documents of at least {_MIN_CHARACTERS} characters",
            where=str(path),
            expected="two or more, so that baselines are fitted on other text than is measured",
            next_step="separate paragraphs by blank lines, or give a .jsonl with a key text",
        )
    return corpus


def _corpus(name: str, found: Iterable[str]) -> TextCorpus:
    """Each document once, compared without its white space, ordered by digest."""
    by_digest = {}
    for text in found:
        words = " ".join(text.split())
        if len(words) >= _MIN_CHARACTERS:
            by_digest[bytes_sha256(words.encode("utf-8", "replace"))] = text.strip()
    ordered = sorted(by_digest)
    return TextCorpus(
        name=name,
        documents=tuple(by_digest[digest] for digest in ordered),
        sha256=bytes_sha256("\n".join(ordered).encode("ascii")),
    )


def _docstrings(module: str) -> list[str]:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return []
    tree = ast.parse(Path(spec.origin).read_bytes())
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = (node for node in ast.walk(tree) if isinstance(node, kinds))
    texts = (ast.get_docstring(node, clean=False) for node in nodes)
    return [inspect.cleandoc(text) for text in texts if text]


def _jsonl_texts(content: str, path: Path) -> Iterable[str]:
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            text = row["text"]
        except (ValueError, RecursionError, TypeError, KeyError):
            text = None
        if not isinstance(text, str):
            raise UsageError(
                "is not an object with a text",
                where=f"{path}, line {number}",
                expected='{"text": "..."} on every line',
            )
        yield text


def _pieces(text: str) -> Iterable[str]:
    piece: list[str] = []
    size = 0
    for paragraph in text.replace("\r\n", "\n").split("\n\n"):
        piece.append(paragraph)
        size += len(paragraph)
        if size >= _PIECE_CHARACTERS:
            yield "\n\n".join(piece)
            piece, size = [], 0
    yield "\n\n".join(piece)
