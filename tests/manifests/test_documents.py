"""Plain text: its documents, each once, and the split that holds some of them out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.data import HeldOut, HubDataset, PlainText
from manifests.data_at_hand import DataUnreadable, data_sha256
from manifests.digests import bytes_sha256, file_sha256
from manifests.documents import (
    Document,
    DocumentSplit,
    TextProblem,
    load_document_split,
    read_texts,
    split_documents,
)

TEXT = PlainText(context_size=16)


def some_documents(n: int) -> list[Document]:
    return [Document(bytes_sha256(str(number).encode()), f"text {number}") for number in range(n)]


def a_project(project: Any, path: Path | None, **text: Any) -> Any:
    """A project whose data is the text of a path beside its manifest."""
    project.content["data"] = {
        "text": {"context_size": 16} | text,
        "description": "Text.",
        "pooling": "every_token",
        "held_out": {"fraction": 0.25, "seed": 0},
        "conditions": {"everything": {}},
    }
    project.content["saes"]["conditions"] = ["everything"]
    if path is not None:
        project.content["data"] |= {"file": path.name, "sha256": data_sha256(path)}
    return project


def texts(split: DocumentSplit) -> list[str]:
    return sorted(one.text for one in (*split.train, *split.held_out))


def test_each_line_of_a_jsonl_file_is_a_document(tmp_path: Path) -> None:
    path = tmp_path / "text.jsonl"
    path.write_bytes(b'{"text": "one"}\r\n\n{"text": "two\\u2028", "other": 1}\n')
    assert list(read_texts(path, TEXT)) == ["one", "two\u2028"]
    path.write_bytes(b'{"body": "one"}\n')
    assert list(read_texts(path, TEXT.model_copy(update={"text_field": "body"}))) == ["one"]


def test_each_file_of_a_folder_is_a_document_or_a_list_of_them(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.txt").write_bytes(b"third\n\nof a file")
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "first"}\n{"text": "second"}')
    (tmp_path / "notes.md").write_bytes(b"not read")
    assert list(read_texts(tmp_path, TEXT)) == ["first", "second", "third\n\nof a file"]


def test_a_single_txt_file_is_cut_at_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    long = "x" * 1_500
    path.write_bytes(f"{long}\r\n\r\n{long}\n\n{long}\n\nend".encode())
    # 1500 is below 2000, with the second 3000; the rest is the last piece.
    assert list(read_texts(path, TEXT)) == [f"{long}\n\n{long}", f"{long}\n\nend"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("text.csv", b"a,b", r"ends in '\.csv'"),
        ("text.txt", b"\xff\xfe", r"is not UTF-8 \(byte 0\)"),
        ("text.jsonl", b'{"text": "a"}\n{"text": 1}', r"text\.jsonl:2: is not an object with a"),
        ("text.jsonl", b"[" * 100_000, r"text\.jsonl:1: is not an object"),
    ],
)
def test_what_is_no_text_is_refused_with_its_place(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TextProblem, match=said):
        list(read_texts(tmp_path / name, TEXT))


def test_a_text_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataUnreadable, match="cannot be read"):
        data_sha256(tmp_path / "none.txt")
    with pytest.raises(DataUnreadable, match="holds no text file"):
        data_sha256(tmp_path)


def test_a_folders_digest_is_that_of_its_texts_and_their_names(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one")
    first = data_sha256(tmp_path)
    (tmp_path / "notes.md").write_bytes(b"not read")
    assert data_sha256(tmp_path) == first
    (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    assert data_sha256(tmp_path) != first
    assert data_sha256(tmp_path / "b.txt") == file_sha256(tmp_path / "b.txt")


@given(st.permutations(range(20)), st.integers(min_value=0, max_value=3))
def test_the_split_does_not_depend_on_the_order(order: list[int], seed: int) -> None:
    every = some_documents(20)
    held_out = HeldOut(fraction=0.3, seed=seed)
    split = split_documents(every, held_out)
    shuffled = split_documents([every[index] for index in order], held_out)
    assert {one.id for one in shuffled.held_out} == {one.id for one in split.held_out}
    assert (len(split.train), len(split.held_out)) == (14, 6)
    assert {one.id for one in split.train}.isdisjoint(one.id for one in split.held_out)


@pytest.mark.parametrize(("fraction", "n_held"), [(0.01, 1), (0.5, 2), (0.99, 2)])
def test_both_parts_of_a_split_have_a_document(fraction: float, n_held: int) -> None:
    split = split_documents(some_documents(3), HeldOut(fraction=fraction))
    assert (len(split.train), len(split.held_out)) == (3 - n_held, n_held)


def test_duplicates_count_once_whatever_their_white_space(project: Any) -> None:
    path = project.path.parent / "text.jsonl"
    lines = ["one two", "three", " one\n two ", "four", "three", "  "]
    path.write_text("\n".join(json.dumps({"text": line}) for line in lines), encoding="utf-8")
    loaded = a_project(project, path).load()
    assert texts(load_document_split(loaded)) == ["four", "one two", "three"]
    loaded = a_project(project, path, max_documents=2).load()
    assert texts(load_document_split(loaded)) == ["one two", "three"]


def test_a_changed_text_is_refused_with_both_digests(project: Any) -> None:
    path = project.path.parent / "text.jsonl"
    path.write_bytes(b'{"text": "one"}\n{"text": "two"}')
    loaded = a_project(project, path).load()
    stated = file_sha256(path)
    path.write_bytes(b'{"text": "one"}\n{"text": "2"}')
    with pytest.raises(TextProblem, match=stated) as caught:
        load_document_split(loaded)
    assert file_sha256(path) in str(caught.value)


def test_another_text_stands_in_for_the_manifests(project: Any, tmp_path: Path) -> None:
    path = project.path.parent / "text.jsonl"
    path.write_bytes(b'{"text": "one"}\n{"text": "two"}')
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_bytes(b"three")
    (other / "b.txt").write_bytes(b"four")
    split = load_document_split(a_project(project, path).load(), data=other)
    assert texts(split) == ["four", "three"]


def test_one_document_cannot_be_split(project: Any) -> None:
    path = project.path.parent / "text.jsonl"
    path.write_bytes(b'{"text": "one"}')
    with pytest.raises(TextProblem, match="holds 1 distinct documents"):
        load_document_split(a_project(project, path).load())


def a_dataset(project: Any, sha256: str, **text: Any) -> Any:
    project = a_project(project, None, **text)
    project.content["data"] |= {
        "dataset": {"id": "someone/texts", "revision": "v1"},
        "sha256": sha256,
    }
    return project.load()


def test_a_data_set_has_the_digest_of_the_jsonl_file_that_it_would_make(project: Any) -> None:
    rows = [{"id": 1, "text": "one"}, {"id": 2, "text": "two"}, {"id": 3, "text": "one"}]
    asked: list[HubDataset] = []

    def rows_of(dataset: HubDataset) -> Iterable[dict[str, Any]]:
        asked.append(dataset)
        return rows

    sha256 = bytes_sha256(b'{"text":"one"}\n{"text":"two"}\n{"text":"one"}\n')
    split = load_document_split(a_dataset(project, sha256), rows_of=rows_of)
    assert texts(split) == ["one", "two"]
    assert [(dataset.id, dataset.revision) for dataset in asked] == [("someone/texts", "v1")]
    with pytest.raises(TextProblem, match=sha256):
        load_document_split(a_dataset(project, "0" * 64), rows_of=rows_of)


def test_a_data_set_is_read_no_further_than_the_documents_that_are_asked_for(project: Any) -> None:
    def rows_of(dataset: HubDataset) -> Iterable[dict[str, Any]]:
        yield from ({"text": word} for word in ("one", "one", " ", "two"))
        pytest.fail("read on")

    sha256 = bytes_sha256(b'{"text":"one"}\n{"text":"one"}\n{"text":" "}\n{"text":"two"}\n')
    loaded = a_dataset(project, sha256, max_documents=2)
    assert texts(load_document_split(loaded, rows_of=rows_of)) == ["one", "two"]


def test_a_data_set_without_the_column_is_refused(project: Any) -> None:
    with pytest.raises(TextProblem, match=r"row 0 has no text in 'text', but \['body'\]"):
        load_document_split(a_dataset(project, "0" * 64), rows_of=lambda _: [{"body": "one"}])
