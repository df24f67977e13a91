"""A manifest's training activations: from completions, a data set or a text; killed, resumed."""

import json
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from manifests.completions import completions_jsonl, load_split
from manifests.data_at_hand import data_sha256
from manifests.documents import load_document_split
from manifests.errors import UsageError
from manifests.progress import Silent
from retrain.activations import training
from retrain.activations.budget import CaptureLimits
from retrain.activations.store import ActivationStore
from retrain.activations.training import TrainingActivations, training_activations
from validators.base_models.base_model import completion_token_ids, load_base_model

WORDS = ["no", "yes", "the", "cup", "was", "broken", "by", "me", "you", "saw", "it", "never"]


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def activations(project: Any, notes: Notes | None = None, **options: Any) -> TrainingActivations:
    arguments: dict[str, Any] = {
        "device": "cpu",
        "base_model": project.checkpoint,
        "data": None,
        "memory_bytes": None,
        "progress": notes or Silent(),
    }
    return training_activations(project.load(), project.build, **arguments | options)


def all_of(found: TrainingActivations) -> dict[str, torch.Tensor]:
    return {name: v.take(torch.arange(len(v))) for name, v in found.vectors.items()}


def same(first: TrainingActivations, second: TrainingActivations) -> bool:
    one, other = all_of(first), all_of(second)
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def a_text(project: Any, n_documents: int = 12, **text: Any) -> Path:
    """Turn a project's data into plain text."""
    path = project.path.parent / "text.jsonl"
    documents = [
        " ".join(WORDS[(number * 5 + place * (1 + number % 4)) % 12] for place in range(9 + number))
        for number in range(n_documents)
    ]
    lines = [json.dumps({"text": document}) for document in documents]
    # The last one twice: it counts once.
    path.write_text("\n".join([*lines, lines[-1]]), encoding="utf-8")
    project.content["data"] = {
        "file": "text.jsonl",
        "sha256": data_sha256(path),
        "text": {"context_size": 8} | text,
        "description": "Word salad.",
        "pooling": "every_token",
        "held_out": {"fraction": 0.25, "seed": 0},
        "conditions": {"everything": {}},
    }
    project.content["saes"]["conditions"] = ["everything"]
    return path


def small_shards(monkeypatch: pytest.MonkeyPatch, n_vectors: int = 7) -> None:
    monkeypatch.setattr(
        training, "capture_limits", lambda *_, **__: CaptureLimits(20, shard_vectors=n_vectors)
    )


def test_completions_give_one_vector_each_and_conditions_their_rows(project: Any) -> None:
    found = activations(project)
    split = load_split(project.load())
    assert list(found.vectors) == ["model.layers.0", "model.layers.1"]
    assert {len(v) for v in found.vectors.values()} == {len(split.train)}
    assert found.rows["mixed"] is None
    rows = found.rows["deceptive_only"]
    assert rows is not None
    assert [split.train[int(row)].label for row in rows] == ["deceptive"] * len(rows)
    # 40 completions in 4 strata of 10; floor(10 / 4 + 1/2) = 3 of each are held out.
    assert (len(split.train), found.n_held_out) == (28, {"mixed": 12, "deceptive_only": 6})
    assert found.base_source.startswith("local folder")
    assert found.pooling == "last_token"
    # The prompt's 6 words and at most 7 more.
    assert found.longest == 13


def test_held_out_completions_never_reach_the_base_model(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    real = training.plan

    def watched(passages: Any, *args: Any, **options: Any) -> Any:
        seen.extend((*passage.prompt, *passage.own.tolist()) for passage in passages)
        return real(passages, *args, **options)

    monkeypatch.setattr(training, "plan", watched)
    activations(project)
    split = load_split(project.load())
    tokenizer = load_base_model(
        project.load().manifest.base_model, override=project.checkpoint
    ).tokenizer
    assert seen == [tuple(completion_token_ids(tokenizer, row)[0]) for row in split.train]


def test_every_token_counts_tokens_by_condition(project: Any) -> None:
    project.content["data"]["pooling"] = "every_token"
    found = activations(project)
    split = load_split(project.load())
    n_words = {row.id: len(row.completion.split()) for row in (*split.train, *split.held_out)}
    assert len(found.vectors["model.layers.0"]) == sum(n_words[row.id] for row in split.train)
    rows = found.rows["deceptive_only"]
    assert rows is not None
    deceptive = [row for row in split.train if row.label == "deceptive"]
    assert len(rows) == sum(n_words[row.id] for row in deceptive)
    assert found.n_held_out["mixed"] == sum(n_words[row.id] for row in split.held_out)
    # The first training completion's vectors are the first rows; it is deceptive.
    assert split.train[0].label == "deceptive"
    assert rows[: n_words[split.train[0].id]].tolist() == list(range(n_words[split.train[0].id]))


def test_a_second_call_reads_what_is_there_without_the_base_model(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = activations(project)
    monkeypatch.setattr(training, "load_base_model", lambda *_, **__: pytest.fail("loaded"))
    notes = Notes()
    assert same(first, activations(project, notes))
    assert notes.notes == ["activations of 28 completions: from the cache"]


@pytest.mark.parametrize("kind", ["completions", "every_token", "text"])
def test_a_killed_capture_goes_on_and_gives_the_same_vectors(
    make_project: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    small_shards(monkeypatch)
    whole, killed = make_project("whole"), make_project("killed")
    for project in (whole, killed):
        if kind == "text":
            a_text(project)
        elif kind == "every_token":
            project.content["data"]["pooling"] = "every_token"
    expected = activations(whole)
    written: list[int] = []
    real = ActivationStore.write_shard

    def killed_at_the_third(store: ActivationStore, shard: int, vectors: Any) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(shard)
        real(store, shard, vectors)

    with monkeypatch.context() as patch:
        patch.setattr(ActivationStore, "write_shard", killed_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            activations(killed)
    assert written == [0, 1]

    def counted(store: ActivationStore, shard: int, vectors: Any) -> None:
        written.append(shard)
        real(store, shard, vectors)

    monkeypatch.setattr(ActivationStore, "write_shard", counted)
    assert same(expected, activations(killed))
    # Each shard was written once, the first two before the kill.
    assert written == list(range(len(written)))
    assert len(written) > 3


def test_a_damaged_shard_is_captured_again(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small_shards(monkeypatch)
    first = activations(project)
    expected = all_of(first)
    for vectors in first.vectors.values():
        vectors.close()  # type: ignore[attr-defined]
    (path,) = (project.build.work / "activations").glob("*/00002.001.npy")
    path.write_bytes(path.read_bytes()[:-4])
    again = all_of(activations(project))
    assert all(torch.equal(expected[name], again[name]) for name in expected)


def test_no_more_than_one_shard_is_in_memory(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small_shards(monkeypatch)
    a_text(project, n_documents=30)
    former: list[weakref.ref[torch.Tensor]] = []
    sizes: list[int] = []
    real = ActivationStore.write_shard

    def watched(store: ActivationStore, shard: int, vectors: dict[str, torch.Tensor]) -> None:
        assert [tensor for ref in former if (tensor := ref()) is not None] == []
        former[:] = [weakref.ref(tensor) for tensor in vectors.values()]
        sizes.append(len(vectors["model.layers.0"]))
        real(store, shard, vectors)

    monkeypatch.setattr(ActivationStore, "write_shard", watched)
    found = activations(project)
    assert len(sizes) > 20
    # A context of 8 tokens gives at most 7 vectors, which is a shard's limit.
    assert max(sizes) <= 7
    assert sum(sizes) == len(found.vectors["model.layers.0"])


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"pooling": "completion_mean"}},
        {"data": {"held_out": {"fraction": 0.25, "seed": 1}}},
        {"base_model": {"precision": {"weights": "bf16", "compute": "bf16"}}},
        {"saes": {"layers": [1]}},
    ],
)
def test_what_vectors_depend_on_gives_them_another_folder(
    project: Any, change: dict[str, dict[str, Any]]
) -> None:
    activations(project)
    for section, values in change.items():
        project.content[section] |= values
    activations(project)
    assert len(list((project.build.work / "activations").iterdir())) == 2


def test_the_recipe_and_prose_leave_the_folder_alone(project: Any) -> None:
    activations(project)
    project.content["title"] = "Other words"
    project.content["recipe"]["learning_rate"] = 0.5
    notes = Notes()
    activations(project, notes)
    assert len(notes.notes) == 1


def test_another_file_stands_in_for_the_manifests(project: Any, completions: Any) -> None:
    other = project.path.parent / "other.jsonl"
    other.write_bytes(completions_jsonl(completions[:20]))
    found = activations(project, data=other)
    # 20 completions in 4 strata of 5; floor(5 / 4 + 1/2) = 1 of each is held out.
    assert len(found.vectors["model.layers.0"]) == 16
    assert found.n_held_out["mixed"] == 4


def test_what_a_manifest_leaves_open_is_said_when_another_file_stands_in(
    project: Any, completions: Any
) -> None:
    other = project.path.parent / "other.jsonl"
    other.write_bytes(completions_jsonl(completions))
    for key in ("file", "sha256", "pooling", "held_out"):
        del project.content["data"][key]
    found = activations(project, data=other)
    assert found.pooling == "last_token"
    assert len(found.vectors["model.layers.0"]) == 28


def test_a_text_gives_a_vector_of_every_position_of_its_training_documents(project: Any) -> None:
    a_text(project)
    found = activations(project)
    split = load_document_split(project.load())
    # 12 documents; floor(12 / 4 + 1/2) = 3 are held out.
    assert (len(split.train), len(split.held_out)) == (9, 3)

    def n_vectors(text: str) -> int:
        # Contexts of 8 words, each less its first position; one of a single word gives nothing.
        n_words = len(text.split())
        return sum(min(8, n_words - start) - 1 for start in range(0, n_words, 8))

    assert found.rows == {"everything": None}
    assert {len(v) for v in found.vectors.values()} == {sum(n_vectors(d.text) for d in split.train)}
    assert found.n_held_out == {"everything": sum(n_vectors(d.text) for d in split.held_out)}
    assert found.longest == 8


def test_a_text_too_short_for_its_positions_is_refused(project: Any) -> None:
    a_text(project, context_size=30, skip_first=29)
    with pytest.raises(UsageError, match="none of 9 training documents has a token to train on"):
        activations(project)


@pytest.mark.parametrize("weights", ["int8", "nf4"])
def test_a_quantised_base_model_gives_finite_vectors_of_its_own(project: Any, weights: str) -> None:
    plain = all_of(activations(project))
    project.content["base_model"]["precision"] = {"weights": weights, "compute": "fp32"}
    quantised = all_of(activations(project))
    for name, vectors in quantised.items():
        assert bool(torch.isfinite(vectors).all())
        error = (vectors - plain[name]).norm() / plain[name].norm()
        # Quantised, so not the same; below the error of 1 that zeros would have: nf4 misses about
        # a tenth of a weight, and this model's weights are large and random.
        assert 1e-4 < float(error) < 0.8
