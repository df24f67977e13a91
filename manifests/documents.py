"""Plain text: the documents of a manifest's data, each once, and their fixed split.

A document is what is held out as a whole: a file of a folder, a line of a JSONL file, a row of a
data set. A single .txt file has no documents of its own; it is cut at blank lines into pieces of
at least 2,000 characters.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from manifests.data import Data, HeldOut, PlainText
from manifests.data_at_hand import data_at_hand, data_sha256, text_files
from manifests.digests import bytes_sha256, canonical_json
from manifests.errors import ReleaseError
from manifests.hub_rows import RowSource, hub_rows
from manifests.load import LoadedManifest

PIECE_CHARACTERS = 2_000


class TextProblem(ReleaseError):
    """A text that is missing, differs from the manifest, or cannot be read."""

    exit_code = 2


@dataclass(frozen=True)
class Document:
    """One document; `id` is the SHA-256 of its words, white space apart."""

    id: str
    text: str


@dataclass(frozen=True)
class DocumentSplit:
    """The documents that training sees and those it never sees, in the order of the data."""

    train: tuple[Document, ...]
    held_out: tuple[Document, ...]


def load_document_split(
    loaded: LoadedManifest, *, data: Path | None = None, rows_of: RowSource = hub_rows
) -> DocumentSplit:
    """The split of a manifest's plain text.

    Args:
        loaded: a manifest with `data.text`.
        data: a file or folder in place of the manifest's, whatever its digest.
        rows_of: opens the data set where the manifest names no file.

    Raises:
        DataNotAtHand: the manifest does not say where the text is.
        DataUnreadable, TextProblem: it cannot be read, has another digest, or is fewer than two
            documents.
        DatasetProblem, MissingExtra: see `hub_rows`.
    """
    stated = loaded.manifest.data
    at_hand, text = data_at_hand(stated, data), stated.text
    assert text is not None, "completions are read by manifests.completions"
    found: Iterable[str]
    if data is not None:
        found = read_texts(data, text)
    elif stated.file is not None:
        path = loaded.file_beside(stated.file)
        _check_digest(data_sha256(path), at_hand.sha256, str(path))
        found = read_texts(path, text)
    else:
        found = _dataset_texts(stated, text, at_hand.sha256, rows_of)
    documents = _distinct(found, text.max_documents)
    if len(documents) < 2:
        raise TextProblem(
            f"holds {len(documents)} distinct documents",
            where=str(data or at_hand.file),
            expected="two or more: some are trained on, some held out",
            next_step="give more text, or separate documents: one a line of a .jsonl",
        )
    return split_documents(documents, at_hand.held_out)


def split_documents(documents: Iterable[Document], held_out: HeldOut) -> DocumentSplit:
    """Hold out the `floor(fraction * n + 1/2)` documents with the smallest SHA-256 of `seed:id`.

    At least one is held out and at least one is not. The split depends on the documents and the
    seed alone, not on their order.
    """
    every = tuple(documents)
    ranked = sorted(every, key=lambda one: bytes_sha256(f"{held_out.seed}:{one.id}".encode()))
    n_held = math.floor(held_out.fraction * len(every) + 0.5)
    held = {one.id for one in ranked[: min(max(n_held, 1), len(every) - 1)]}
    return DocumentSplit(
        train=tuple(one for one in every if one.id not in held),
        held_out=tuple(one for one in every if one.id in held),
    )


def read_texts(path: Path, text: PlainText) -> Iterator[str]:
    """The documents of a .txt or .jsonl file, or of all such files of a folder, duplicates and all.

    Raises:
        TextProblem: it cannot be read, is of another kind, or is not UTF-8.
    """
    if path.is_dir():
        for one in text_files(path):
            yield from _jsonl(one, text) if one.suffix == ".jsonl" else (_content(one),)
    elif path.suffix == ".jsonl":
        yield from _jsonl(path, text)
    elif path.suffix == ".txt":
        yield from _pieces(_content(path))
    else:
        raise TextProblem(
            f"ends in {path.suffix!r}",
            where=str(path),
            expected="plain text: .txt, .jsonl, or a folder of such files",
        )


def _distinct(texts: Iterable[str], at_most: int | None) -> tuple[Document, ...]:
    found: dict[str, Document] = {}
    for text in texts:
        words = " ".join(text.split())
        if words:
            # Half a character, which JSON can state, is nothing that a tokenizer takes.
            digest = bytes_sha256(words.encode("utf-8", "replace"))
            found.setdefault(digest, Document(digest, text.encode("utf-8", "replace").decode()))
            if len(found) == at_most:
                break
    return tuple(found.values())


def _dataset_texts(data: Data, text: PlainText, sha256: str, rows_of: RowSource) -> list[str]:
    """The rows' texts, digested as the JSONL file that they would make."""
    assert data.dataset is not None, "at_hand() found neither file nor dataset"
    digest = hashlib.sha256()
    found: list[str] = []
    seen: set[str] = set()
    for number, row in enumerate(rows_of(data.dataset)):
        value = row.get(text.text_field)
        if not isinstance(value, str):
            raise TextProblem(
                f"row {number} has no text in {text.text_field!r}, but {sorted(row)}",
                where=f"data.dataset, {data.dataset.name}",
                expected="a column of texts, which data.text.text_field names",
            )
        digest.update(canonical_json({text.text_field: value}) + b"\n")
        found.append(value)
        if value.strip():
            seen.add(" ".join(value.split()))
        if len(seen) == text.max_documents:
            break
    _check_digest(digest.hexdigest(), sha256, f"data.dataset, {data.dataset.name}")
    return found


def _check_digest(found: str, stated: str, where: str) -> None:
    if found != stated:
        raise TextProblem(
            f"has the SHA-256 {found}",
            where=where,
            expected=f"{stated}, which data.sha256 of the manifest states",
            next_step="restore the text, or put its digest into data.sha256 if it was meant to "
            "change",
        )


def _content(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise TextProblem(
            f"cannot be read: {error.strerror or error}",
            where=str(path),
            expected="the text that data.file names",
        ) from error
    except UnicodeDecodeError as error:
        raise TextProblem(
            f"is not UTF-8 (byte {error.start})", where=str(path), expected="UTF-8 text"
        ) from error


def _jsonl(path: Path, text: PlainText) -> Iterator[str]:
    for number, line in enumerate(_content(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        value = row.get(text.text_field) if isinstance(row, dict) else None
        if not isinstance(value, str):
            raise TextProblem(
                f"is not an object with a text in {text.text_field!r}",
                where=f"{path}:{number}",
                expected=f'{{"{text.text_field}": "..."}} on every line',
            )
        yield value


def _pieces(content: str) -> Iterator[str]:
    piece: list[str] = []
    size = 0
    for paragraph in content.split("\n\n"):
        piece.append(paragraph)
        size += len(paragraph)
        if size >= PIECE_CHARACTERS:
            yield "\n\n".join(piece)
            piece, size = [], 0
    yield "\n\n".join(piece)
