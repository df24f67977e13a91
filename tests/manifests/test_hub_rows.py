"""Data sets, streamed by the library that users have; a local folder stands in for the Hub."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from manifests.completions import Completion, CompletionsProblem, completions_jsonl, load_split
from manifests.data import HubDataset
from manifests.digests import bytes_sha256
from manifests.errors import MissingExtra
from manifests.hub_rows import DatasetProblem, hub_rows


@pytest.fixture
def dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, completions: tuple[Completion, ...]
) -> HubDataset:
    """The completions as a data set of two files; `datasets` takes a folder of the id's name."""
    folder = tmp_path / "someone" / "completions"
    folder.mkdir(parents=True)
    (folder / "train-00000.jsonl").write_bytes(completions_jsonl(completions[:25]))
    (folder / "train-00001.jsonl").write_bytes(completions_jsonl(completions[25:]))
    monkeypatch.chdir(tmp_path)
    return HubDataset(id="someone/completions", revision="v1")


def in_dataset(project: Any, dataset: HubDataset, sha256: str) -> Any:
    del project.content["data"]["file"]
    project.content["data"] |= {"sha256": sha256, "dataset": dataset.model_dump()}
    return project.load()


def test_rows_are_streamed_in_order(
    dataset: HubDataset, completions: tuple[Completion, ...]
) -> None:
    rows = list(hub_rows(dataset))
    assert [row["id"] for row in rows] == [row.id for row in completions]
    assert rows[0]["top_k"] is None


def test_completions_of_a_data_set_are_those_of_the_file(
    project: Any, dataset: HubDataset, completions: tuple[Completion, ...]
) -> None:
    expected = load_split(project.load())
    sha256 = bytes_sha256(completions_jsonl(completions))
    assert load_split(in_dataset(project, dataset, sha256)) == expected


def test_another_digest_of_a_data_set_is_refused_with_both(
    project: Any, dataset: HubDataset, completions: tuple[Completion, ...]
) -> None:
    with pytest.raises(CompletionsProblem) as caught:
        load_split(in_dataset(project, dataset, "0" * 64))
    assert bytes_sha256(completions_jsonl(completions)) in str(caught.value)
    assert "someone/completions@v1" in str(caught.value)


def test_rows_that_are_no_completions_are_named(project: Any) -> None:
    loaded = in_dataset(project, HubDataset(id="someone/x", revision="v1"), "0" * 64)
    rows: list[Any] = [{"text": "a"}]
    with pytest.raises(CompletionsProblem, match=r"someone/x@v1:1: id: Field required"):
        load_split(loaded, rows_of=lambda _: rows)
    with pytest.raises(CompletionsProblem, match=r"someone/x@v1:1: is not JSON"):
        load_split(loaded, rows_of=lambda _: [{"id": b"bytes"}])


def test_the_file_is_read_where_there_is_one(project: Any) -> None:
    project.content["data"]["dataset"] = {"id": "someone/x", "revision": "v1"}
    split = load_split(project.load(), rows_of=lambda _: pytest.fail("asked"))
    assert len(split.train) + len(split.held_out) == 40


def test_a_split_that_is_not_there_is_a_problem_of_the_data_set(dataset: HubDataset) -> None:
    absent = dataset.model_copy(update={"split": "validation"})
    with pytest.raises(DatasetProblem, match=r"someone/completions@v1 \(validation\)"):
        list(hub_rows(absent))


def test_a_hub_that_cannot_be_reached_is_a_problem_of_the_data_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import datasets

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DatasetProblem, match="cannot be read"):
        list(hub_rows(HubDataset(id="someone/absent", revision="v1")))


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "datasets" else real(name)
    )
    with pytest.raises(MissingExtra, match=r"sae-release\[retrain\]"):
        list(hub_rows(HubDataset(id="someone/x")))


def test_a_text_column_is_read_by_the_same_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "someone" / "texts"
    folder.mkdir(parents=True)
    lines = [json.dumps({"body": word}) for word in ("one", "two")]
    (folder / "data.jsonl").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert [row["body"] for row in hub_rows(HubDataset(id="someone/texts"))] == ["one", "two"]
