"""Activations without a manifest: of the texts of Python, of a text file, of a saved file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from manifests.errors import UsageError
from manifests.progress import Silent
from validators.base_models.access import BaseModelAccess
from validators.evidence.choice import choose_evidence
from validators.evidence.evidence import NoEvidence, group_ids, without_outliers
from validators.evidence.saved import SavedEvidence
from validators.evidence.text import CONTEXT_TOKENS, TextEvidence
from validators.evidence.text_corpus import corpus_of_file, shipped_corpus
from validators.options import ValidateOptions
from validators.places.place import Place

WORDS = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r"]
LAST = Place("model.layers.1")


@dataclass(frozen=True)
class NamedSae:
    sae_id: str = "sae"
    condition: str | None = None
    hook_metadata: Mapping[str, Any] = field(
        default_factory=lambda: {"hook_name": "blocks.1.hook_resid_post"}
    )


def document(seed: int, n_words: int = 200) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, size=n_words))


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "text.jsonl"
    lines = [json.dumps({"text": document(seed)}) for seed in range(12)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def text_evidence(base_model: Path, text: Path, *saes: NamedSae) -> TextEvidence:
    options = ValidateOptions(base_model=str(base_model), text=text)
    evidence = choose_evidence(saes or (NamedSae(),), None, options, Silent())
    assert isinstance(evidence, TextEvidence)
    return evidence


def test_the_texts_of_python_are_many_and_each_there_once() -> None:
    corpus = shipped_corpus()
    assert len(corpus.documents) > 300
    assert len({" ".join(text.split()) for text in corpus.documents}) == len(corpus.documents)
    assert min(len(text) for text in corpus.documents) > 150
    assert corpus == shipped_corpus()
    assert corpus.name.startswith("reference texts of Python 3.")


def test_paragraphs_become_documents_and_duplicates_go(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    paragraph = document(0, 1_100)
    other = document(1, 1_100)
    path.write_text(f"{paragraph}\n\n{other}\r\n\r\n{paragraph}\n\ntoo short", encoding="utf-8")
    assert sorted(corpus_of_file(path).documents) == sorted([paragraph, other])


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("text.txt", b"\xff\xfe", "is not UTF-8"),
        ("text.txt", b"short", "holds 0 documents"),
        ("text.jsonl", b'{"text": 1}', "is not an object with a text"),
        ("text.jsonl", b"[" * 100_000, "is not an object with a text"),
    ],
)
def test_a_text_file_that_is_none_is_a_usage_error(
    tmp_path: Path, name: str, content: bytes, found: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=found):
        corpus_of_file(tmp_path / name)


def test_a_text_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        corpus_of_file(tmp_path / "text.txt")


def test_every_position_of_the_text_is_a_vector_and_a_fifth_of_the_texts_is_kept_apart(
    tiny_llama: Path, text_file: Path
) -> None:
    evidence = text_evidence(tiny_llama, text_file)
    held_out = evidence.sample(evidence.saes[0], train=False)
    fit = evidence.sample(evidence.saes[0], train=True)
    # 12 texts of 200 words each; texts 0, 5 and 10 are for fitting: 3 of 12.
    n_fit = len(fit.vectors) + len(fit.outliers)
    n_held_out = len(held_out.vectors) + len(held_out.outliers)
    assert (n_fit, n_held_out) == (3 * 200, 9 * 200)
    assert len(evidence.captured.vectors[LAST]) == 12 * 200
    assert set(held_out.groups).isdisjoint(fit.groups)
    assert not evidence.knows_training
    assert evidence.n_vectors() == {"text": {"train": 0, "held_out": n_held_out}}
    assert "12 texts (text.jsonl)" in evidence.description


def test_the_vectors_are_those_of_transformers(tiny_llama: Path, text_file: Path) -> None:
    evidence = text_evidence(tiny_llama, text_file)
    first = evidence.contexts(evidence.saes[0], at_most=1)[0]
    with torch.inference_mode():
        output = evidence.base.model(
            torch.tensor([first.input_ids]), output_hidden_states=True
        ).hidden_states
    own = evidence.sample_at(Place("model.layers.0"), evidence.saes[0])
    assert own is None, "read only when asked for"
    evidence.read_elsewhere(frozenset({Place("model.layers.0")}))
    own = evidence.sample_at(Place("model.layers.0"), evidence.saes[0])
    assert own is not None
    # Only the last state has the final norm behind it, so the first block's is comparable.
    np.testing.assert_allclose(
        own.vectors[: len(first.input_ids)], output[1][0].numpy(), rtol=1e-4, atol=1e-5
    )
    declared = evidence.sample_at(LAST, evidence.saes[0])
    assert declared is not None
    assert declared.vectors.shape == own.vectors.shape
    np.testing.assert_array_equal(declared.groups, own.groups)


def test_the_configs_decide_about_the_first_token(tiny_llama: Path, text_file: Path) -> None:
    metadata = {"hook_name": "blocks.1.hook_resid_post", "prepend_bos": False}
    for sae, starts_with_bos in ((NamedSae(), True), (NamedSae(hook_metadata=metadata), False)):
        evidence = text_evidence(tiny_llama, text_file, sae)
        evidence.base.tokenizer.bos_token = "<unk>"
        contexts = evidence.contexts(sae, at_most=99)
        assert all((c.input_ids[0] == 0) == starts_with_bos for c in contexts)
        assert max(len(context.input_ids) for context in contexts) == CONTEXT_TOKENS


def test_vectors_of_outlying_norm_are_kept_apart() -> None:
    vectors = np.ones((20, 4), dtype=np.float32)
    vectors[3] *= 11
    vectors[7] *= 9
    sample = without_outliers(vectors, group_ids("abcdefghijklmnopqrst"))
    assert len(sample.vectors) == 19
    assert len(sample.outliers) == 1
    assert 3 not in sample.groups


def test_without_a_named_base_model_there_is_no_evidence() -> None:
    access = BaseModelAccess(None, (NamedSae(),), override=None)
    with pytest.raises(NoEvidence, match=r"no cfg\.json names its base model"):
        _ = access.base


def test_configs_that_name_two_base_models_leave_it_to_the_user() -> None:
    saes = [NamedSae(hook_metadata={"model_name": name}) for name in ("a/b", "c/d")]
    with pytest.raises(NoEvidence, match="the configs name 2 base models: a/b, c/d") as caught:
        _ = BaseModelAccess(None, saes, override=None).base
    assert "--base-model" in (caught.value.next_step or "")


def saved(tmp_path: Path, suffix: str, **arrays: np.ndarray[Any, Any]) -> SavedEvidence:
    path = tmp_path / f"activations{suffix}"
    if suffix == ".safetensors":
        save_file(arrays, path)
    elif suffix == ".npz":
        np.savez(path, **arrays)
    else:
        np.save(path, next(iter(arrays.values())))
    return SavedEvidence((NamedSae(),), path)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".npy"])
def test_saved_activations_are_read_by_the_hook_name(tmp_path: Path, suffix: str) -> None:
    vectors = np.arange(100, dtype=np.float32).reshape(20, 5) + 100
    evidence = saved(tmp_path, suffix, **{"blocks.1.hook_resid_post": vectors})
    held_out = evidence.sample(evidence.saes[0], train=False)
    np.testing.assert_array_equal(held_out.vectors, vectors[:16])
    np.testing.assert_array_equal(
        evidence.sample(evidence.saes[0], train=True).vectors, vectors[16:]
    )
    with pytest.raises(NoEvidence, match="take the place of a base model"):
        _ = evidence.base


def test_saved_activations_of_other_hooks_are_not_taken(tmp_path: Path) -> None:
    vectors = np.ones((20, 5), dtype=np.float32)
    evidence = saved(tmp_path, ".npz", **{"model.layers.2": vectors, "model.layers.3": vectors})
    with pytest.raises(UsageError, match=r"no array is named 'blocks\.1\.hook_resid_post'"):
        evidence.place_of(evidence.saes[0])


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.ones(5), r"the shape \(5,\)"),
        (np.ones((3, 5)), r"the shape \(3, 5\)"),
        (np.full((20, 5), np.nan), "values not finite"),
    ],
)
def test_saved_activations_of_another_shape_are_refused(
    tmp_path: Path, array: np.ndarray[Any, Any], found: str
) -> None:
    evidence = saved(tmp_path, ".npy", activations=array)
    with pytest.raises(UsageError, match=found):
        evidence.place_of(evidence.saes[0])


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "activations.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    evidence = SavedEvidence((NamedSae(),), path)
    with pytest.raises(UsageError, match="is damaged"):
        evidence.place_of(evidence.saes[0])


@pytest.mark.parametrize(
    "name", ["../elsewhere", "//host/share", "C:\\models\\x", "~/model", "a/b/c"]
)
def test_a_config_cannot_choose_a_place_on_this_machine(name: str) -> None:
    saes = (NamedSae(hook_metadata={"model_name": name}),)
    with pytest.raises(NoEvidence, match="no base model that the Hub could have"):
        _ = BaseModelAccess(None, saes, override=None).base


def test_a_folder_of_the_name_in_a_config_is_not_taken(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_llama.parent)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    saes = (NamedSae(hook_metadata={"model_name": f"{tiny_llama.name}/x"}),)
    (tiny_llama / "x").mkdir(exist_ok=True)
    with pytest.raises(NoEvidence, match="cannot be fetched from the Hub"):
        _ = BaseModelAccess(None, saes, override=None).base
