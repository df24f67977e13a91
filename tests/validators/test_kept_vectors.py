"""Kept activations: taken only where a new pass would give the same, and bit for bit those."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from manifests.completions import completions_jsonl, parse_completions
from manifests.digests import bytes_sha256
from manifests.load import load_manifest
from manifests.progress import Silent
from validators.claim import local_claim
from validators.evidence import kept_vectors
from validators.evidence.activations import CapturedActivations
from validators.evidence.choice import choose_evidence
from validators.evidence.completions import CompletionEvidence
from validators.evidence.kept_vectors import KeptVectors
from validators.evidence.place_reader import PlaceReader
from validators.options import ValidateOptions
from validators.places.place import Place

FIRST, LAST = Place("model.layers.0"), Place("model.layers.1")


@dataclass(frozen=True)
class NamedSae:
    sae_id: str = "sae"
    condition: str | None = "mixed"
    hook_metadata: Mapping[str, Any] = field(default_factory=lambda: {"hook_name": LAST.module})


LOWER = NamedSae(hook_metadata={"hook_name": FIRST.module})


class Noted(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@dataclass
class Project:
    """A copy of the manifest, its data and its base model, and the folder of kept vectors."""

    root: Path
    base_model: Path

    @property
    def folder(self) -> Path:
        return self.root / "kept"

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir())

    def evidence(self, *saes: NamedSae, keep: bool = True) -> CompletionEvidence:
        claim = local_claim(load_manifest(self.root / "tiny.yaml"))
        options = ValidateOptions(
            base_model=str(self.base_model), keep_vectors=self.folder if keep else None
        )
        evidence = choose_evidence(saes or (NamedSae(),), claim, options, Noted())
        assert isinstance(evidence, CompletionEvidence)
        return evidence

    def edit_manifest(self, before: str, after: str) -> None:
        path = self.root / "tiny.yaml"
        text = path.read_text(encoding="utf-8")
        assert before in text
        path.write_text(text.replace(before, after), encoding="utf-8")


@pytest.fixture
def project(good_release: Any, tmp_path: Path) -> Project:
    source = good_release.loaded.path.parent
    for name in ("tiny.yaml", "completions.jsonl"):
        shutil.copy(source / name, tmp_path / name)
    shutil.copytree(good_release.base_model, tmp_path / "llama")
    return Project(tmp_path, tmp_path / "llama")


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of sequences of every pass through the base model."""
    seen: list[int] = []
    run = PlaceReader.run

    def counted(self: PlaceReader, input_ids: list[list[int]], **arguments: Any) -> None:
        seen.append(len(input_ids))
        run(self, input_ids, **arguments)

    monkeypatch.setattr(PlaceReader, "run", counted)
    return seen


def assert_same(found: CapturedActivations, expected: CapturedActivations) -> None:
    assert found.vectors.keys() == expected.vectors.keys()
    for place, vectors in expected.vectors.items():
        assert found.vectors[place].dtype == np.float32
        assert found.vectors[place].tobytes() == vectors.tobytes(), "bit for bit"
        assert found.vectors[place].shape == vectors.shape
    assert (found.calls, found.missing) == (expected.calls, expected.missing)
    assert (found.n_passes, found.sizes) == (expected.n_passes, expected.sizes)


@pytest.mark.parametrize("pooling", ["last_token", "every_token"])
def test_a_second_run_takes_the_same_vectors_without_running_the_model(
    project: Project, passes: list[int], pooling: str
) -> None:
    project.edit_manifest("pooling: last_token", f"pooling: {pooling}")
    first = project.evidence(NamedSae(), LOWER)
    assert_same(first.captured, project.evidence(NamedSae(), LOWER, keep=False).captured)
    assert sum(passes) > 120, "completions went through the model"
    passes.clear()
    second = project.evidence(NamedSae(), LOWER)
    assert_same(second.captured, first.captured)
    assert passes == []
    assert second.description == first.description
    for train in (True, False):
        ours, theirs = (each.sample(LOWER, train=train) for each in (second, first))
        assert ours.vectors.tobytes() == theirs.vectors.tobytes()
        assert ours.groups.tolist() == theirs.groups.tolist()


def test_without_the_option_nothing_is_kept(project: Project) -> None:
    assert project.evidence(keep=False).captured.n_passes == 120
    assert not project.folder.exists()


def test_keeping_vectors_leaves_a_validation_whole(tmp_path: Path) -> None:
    assert ValidateOptions(keep_vectors=tmp_path).is_whole


def change_a_completion(project: Project) -> None:
    path = project.root / "completions.jsonl"
    before = path.read_bytes()
    first, *rest = parse_completions(before, shown_as=path.name)
    words = first.completion.split()
    other = first.model_copy(update={"completion": " " + " ".join([*words[1:], words[0]])})
    path.write_bytes(completions_jsonl([other, *rest]))
    project.edit_manifest(bytes_sha256(before), bytes_sha256(path.read_bytes()))


def change_the_pooling(project: Project) -> None:
    project.edit_manifest("pooling: last_token", "pooling: completion_mean")


def change_the_split(project: Project) -> None:
    project.edit_manifest("seed: 0}", "seed: 1}")


def change_the_precision(project: Project) -> None:
    project.edit_manifest("d_model: 16}", "d_model: 16, precision: {weights: bf16, compute: bf16}}")


def change_a_weight(project: Project) -> None:
    path = project.base_model / "model.safetensors"
    tensors = load_file(path)
    name = "model.layers.0.mlp.down_proj.weight"
    tensors[name] = tensors[name] + torch.eye(*tensors[name].shape)
    save_file(tensors, path, metadata={"format": "pt"})


def change_the_template(project: Project) -> None:
    path = project.base_model / "chat_template.jinja"
    path.write_text("{{ messages[0]['content'] }} e f ", encoding="utf-8")


@pytest.mark.parametrize(
    "change",
    [
        change_a_completion,
        change_the_pooling,
        change_the_split,
        change_the_precision,
        change_a_weight,
        change_the_template,
    ],
)
def test_whatever_the_vectors_depend_on_leads_to_a_new_pass(
    project: Project, passes: list[int], change: Callable[[Project], None]
) -> None:
    before = project.evidence().captured
    change(project)
    passes.clear()
    found = project.evidence().captured
    assert passes, "the model ran"
    assert found.vectors[LAST].tobytes() != before.vectors[LAST].tobytes()
    assert_same(found, project.evidence(keep=False).captured)
    assert len(project.files) == 1, "what nobody can use any more is gone"


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_another_version_leads_to_a_new_pass(
    project: Project, passes: list[int], monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    _ = project.evidence().captured
    passes.clear()
    real = kept_vectors.version
    monkeypatch.setattr(
        kept_vectors, "version", lambda name: "0" if name == package else real(name)
    )
    _ = project.evidence().captured
    assert passes


def test_fewer_places_are_taken_from_more_and_more_places_are_read_anew(
    project: Project, passes: list[int]
) -> None:
    both = project.evidence(NamedSae(), LOWER).captured
    passes.clear()
    one = project.evidence(LOWER).captured
    assert passes == []
    assert set(one.vectors) == set(one.calls) == {FIRST}
    assert one.vectors[FIRST].tobytes() == both.vectors[FIRST].tobytes()
    project.files[0].unlink()
    _ = project.evidence(LOWER).captured
    passes.clear()
    assert_same(project.evidence(NamedSae(), LOWER).captured, both)
    assert passes


def cut(content: bytes, at: int) -> bytes:
    return content[:at]


def flip(content: bytes, at: int) -> bytes:
    damaged = bytearray(content)
    damaged[at] ^= 1
    return bytes(damaged)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: cut(content, 10),
        lambda content: cut(content, len(content) // 2),
        lambda content: cut(content, -1),
        lambda content: content + b"\0",
        lambda content: flip(content, 0),
        lambda content: flip(content, 140),
        lambda content: flip(content, -33),
        lambda content: flip(content, -1),
        lambda content: b"an altogether different file, " * 9,
    ],
)
def test_a_damaged_file_is_ignored_and_made_again(
    project: Project, passes: list[int], damage: Callable[[bytes], bytes]
) -> None:
    expected = project.evidence().captured
    (path,) = project.files
    sound = path.read_bytes()
    path.write_bytes(damage(sound))
    passes.clear()
    assert_same(project.evidence().captured, expected)
    assert passes
    assert project.files == [path]
    assert path.read_bytes() == sound


def test_a_sound_file_under_another_name_is_not_taken(tmp_path: Path) -> None:
    captured = CapturedActivations({LAST: np.ones((2, 3), np.float32)}, {LAST: 2}, frozenset(), 2)
    KeptVectors(tmp_path, "a" * 64).write(captured)
    shutil.copy(KeptVectors(tmp_path, "a" * 64).path, KeptVectors(tmp_path, "b" * 64).path)
    assert KeptVectors(tmp_path, "b" * 64).read(frozenset({LAST})) is None


def test_what_was_not_there_to_read_is_kept_as_missing(tmp_path: Path) -> None:
    elsewhere = Place("model.layers.9", "input")
    captured = CapturedActivations(
        vectors={LAST: np.arange(6, dtype=np.float32).reshape(3, 2)},
        calls={LAST: 2, elsewhere: 0},
        missing=frozenset({elsewhere}),
        n_passes=2,
        sizes=(1, 2),
    )
    kept = KeptVectors(tmp_path / "new" / "folder", "a" * 64)
    kept.write(captured)
    found = kept.read(frozenset({LAST, elsewhere}))
    assert found is not None
    assert_same(found, captured)


def test_where_nothing_can_be_written_the_vectors_come_all_the_same(project: Project) -> None:
    project.folder.write_text("a file where the folder should be", encoding="utf-8")
    evidence = project.evidence()
    assert evidence.captured.n_passes == 120
    progress = evidence._progress
    assert isinstance(progress, Noted)
    assert [note for note in progress.notes if "cannot be saved" in note]
