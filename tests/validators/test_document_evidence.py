"""Evidence of a manifest whose vectors are single tokens: of a text, or of its completions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from manifests.completions import load_split
from manifests.data_at_hand import data_sha256
from manifests.documents import load_document_split
from manifests.progress import Silent
from validators.base_models.base_model import completion_token_ids
from validators.claim import Claim, local_claim
from validators.evidence import completions as completion_evidence
from validators.evidence import documents as document_evidence
from validators.evidence.choice import choose_evidence
from validators.evidence.completions import CompletionEvidence
from validators.evidence.documents import DocumentEvidence
from validators.evidence.evidence import Evidence, NoEvidence
from validators.options import ValidateOptions
from validators.places.place import Place

WORDS = ["no", "yes", "the", "cup", "was", "broken", "by", "me", "you", "saw", "it", "never"]
FIRST, LAST = Place("model.layers.0"), Place("model.layers.1")


@dataclass(frozen=True)
class NamedSae:
    condition: str | None
    sae_id: str = "sae"
    hook_metadata: Mapping[str, Any] = field(
        default_factory=lambda: {"hook_name": "blocks.1.hook_resid_post"}
    )


def evidence_of(project: Any, condition: str, claim: Claim | None = None) -> Evidence:
    claim = claim or local_claim(project.load())
    options = ValidateOptions(base_model=project.checkpoint)
    return choose_evidence([NamedSae(condition)], claim, options, Silent())


@pytest.fixture
def text_project(project: Any) -> Any:
    """12 documents of 20 to 31 words, in contexts of 8."""
    path = project.path.parent / "text.jsonl"
    lines = [
        json.dumps({"text": " ".join(WORDS[(n * 5 + w * (1 + n % 4)) % 12] for w in range(20 + n))})
        for n in range(12)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    project.content["data"] = {
        "file": "text.jsonl",
        "sha256": data_sha256(path),
        "text": {"context_size": 8},
        "description": "Word salad.",
        "pooling": "every_token",
        "held_out": {"fraction": 0.25, "seed": 0},
        "conditions": {"everything": {}},
    }
    project.content["saes"]["conditions"] = ["everything"]
    return project


def n_vectors(text: str) -> int:
    """Contexts of 8 words, each less its first position."""
    n_words = len(text.split())
    return sum(min(8, n_words - start) - 1 for start in range(0, n_words, 8))


def test_a_text_is_judged_on_its_held_out_documents(text_project: Any) -> None:
    evidence = evidence_of(text_project, "everything")
    assert isinstance(evidence, DocumentEvidence)
    assert evidence.knows_training
    split = load_document_split(text_project.load())
    (sae,) = evidence.saes
    for train, documents in ((True, split.train), (False, split.held_out)):
        sample = evidence.sample(sae, train=train)
        expected = sum(n_vectors(document.text) for document in documents)
        assert len(sample.vectors) + len(sample.outliers) == expected
        assert len(set(sample.groups)) == len(documents)
    assert evidence.n_vectors() == {
        "everything": {
            "train": sum(n_vectors(document.text) for document in split.train),
            "held_out": sum(n_vectors(document.text) for document in split.held_out),
        }
    }
    assert "contexts of the manifest's text" in evidence.description


def test_a_texts_vectors_are_those_of_transformers(text_project: Any) -> None:
    evidence = evidence_of(text_project, "everything")
    (sae,) = evidence.saes
    contexts = evidence.contexts(sae, at_most=100)
    assert len({context.group for context in contexts[:3]}) == 3
    sample = evidence.sample_at(FIRST, sae)
    assert sample is None, "read only when asked for"
    evidence.read_elsewhere(frozenset({FIRST}))
    sample = evidence.sample_at(FIRST, sae)
    assert sample is not None
    states = []
    for context in contexts:
        with torch.inference_mode():
            output = evidence.base.model(
                torch.tensor([context.input_ids]), output_hidden_states=True
            )
        states.append(output.hidden_states[1][0, 1:].numpy())
    found, expected = sorted(sample.vectors[:, 0]), sorted(np.concatenate(states)[:, 0])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    own = evidence.sample_at(LAST, sae)
    assert own is not None
    np.testing.assert_array_equal(own.groups, sample.groups)


def test_of_a_long_text_a_sample_is_read_and_the_whole_is_counted(
    text_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evidence_of(text_project, "everything").n_vectors()
    monkeypatch.setattr(document_evidence, "MAX_POSITIONS", 24)
    evidence = evidence_of(text_project, "everything")
    (sae,) = evidence.saes
    for train in (True, False):
        sample = evidence.sample(sae, train=train)
        # At most three contexts of 8, less one position each.
        assert 0 < len(sample.vectors) + len(sample.outliers) <= 21
    assert evidence.n_vectors() == whole


def test_a_published_manifest_of_a_text_is_no_evidence(text_project: Any) -> None:
    loaded = text_project.load()
    published = Claim(loaded.manifest, {}, "manifest.json", loaded=None)
    evidence = evidence_of(text_project, "everything", published)
    with pytest.raises(NoEvidence, match=r"the text \(text\.jsonl\) is not published"):
        _ = evidence.captured


@pytest.fixture
def token_project(project: Any) -> Any:
    project.content["data"]["pooling"] = "every_token"
    return project


def test_every_token_of_a_completion_is_a_vector_of_its_scenario(token_project: Any) -> None:
    evidence = evidence_of(token_project, "deceptive_only")
    assert isinstance(evidence, CompletionEvidence)
    split = load_split(token_project.load())
    rows = [row for row in split.held_out if row.label == "deceptive"]
    (sae,) = evidence.saes
    sample = evidence.sample(sae, train=False)
    expected, groups = [], []
    scenarios = list(dict.fromkeys(row.scenario for row in rows))
    for row in rows:
        ids, n_prompt = completion_token_ids(evidence.base.tokenizer, row)
        with torch.inference_mode():
            output = evidence.base.model(torch.tensor([ids]), output_hidden_states=True)
        expected.append(output.hidden_states[1][0, n_prompt:].numpy())
        groups += [scenarios.index(row.scenario)] * (len(ids) - n_prompt)
    assert len(sample.outliers) == 0
    assert sample.groups.tolist() == groups
    evidence.read_elsewhere(frozenset({FIRST}))
    elsewhere = evidence.sample_at(FIRST, sae)
    assert elsewhere is not None
    np.testing.assert_allclose(elsewhere.vectors, np.concatenate(expected), rtol=1e-4, atol=1e-5)
    assert len(elsewhere.vectors) == len(sample.vectors)
    assert evidence.n_vectors()["deceptive_only"]["held_out"] == len(sample.vectors)


def test_of_many_tokens_whole_completions_are_read_and_all_are_counted(
    token_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evidence_of(token_project, "mixed").n_vectors()
    # Half of it is for each part: 20 vectors of 16 numbers at one place.
    monkeypatch.setattr(completion_evidence, "MAX_BYTES", 2 * 20 * 16 * 4)
    evidence = evidence_of(token_project, "mixed")
    (sae,) = evidence.saes
    for train in (True, False):
        sample = evidence.sample(sae, train=train)
        assert 10 < len(sample.vectors) + len(sample.outliers) <= 20
    assert evidence.n_vectors() == whole
    assert sum(whole["mixed"].values()) > 100
