"""The trainer's capture and the validators', written apart, read the same vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manifests.completions import load_split
from manifests.data_at_hand import data_sha256
from manifests.documents import load_document_split
from manifests.progress import Silent
from retrain.activations.training import training_activations
from validators.base_models.base_model import load_base_model
from validators.base_models.contexts import context_token_ids
from validators.evidence.activations import capture_completions, capture_contexts
from validators.places.place import Place

WORDS = ["no", "yes", "the", "cup", "was", "broken", "by", "me", "you", "saw", "it", "never"]
PLACES = {name: Place(name) for name in ("model.layers.0", "model.layers.1")}


def of_the_trainer(project: Any) -> dict[str, np.ndarray[Any, Any]]:
    found = training_activations(
        project.load(),
        project.build,
        device="cpu",
        base_model=project.checkpoint,
        data=None,
        memory_bytes=None,
        progress=Silent(),
    )
    return {name: v.take(torch.arange(len(v))).numpy() for name, v in found.vectors.items()}


def assert_agree(
    ours: dict[str, np.ndarray[Any, Any]], theirs: dict[Place, np.ndarray[Any, Any]]
) -> None:
    assert ours.keys() == PLACES.keys()
    for name, place in PLACES.items():
        assert ours[name].shape == theirs[place].shape
        # One pads its batches, the other does not: sums of another order, float32 noise.
        np.testing.assert_allclose(ours[name], theirs[place], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("pooling", ["last_token", "completion_mean", "every_token"])
def test_on_completions(project: Any, pooling: Any) -> None:
    project.content["data"]["pooling"] = pooling
    loaded = project.load()
    base = load_base_model(loaded.manifest.base_model, override=project.checkpoint)
    rows = load_split(loaded).train
    read = capture_completions(base, rows, frozenset(PLACES.values()), pooling, Silent())
    assert_agree(of_the_trainer(project), read.vectors)


@pytest.mark.parametrize("skip_first", [0, 1, 3])
def test_on_text(project: Any, skip_first: int) -> None:
    path: Path = project.path.parent / "text.jsonl"
    lines = [
        json.dumps({"text": " ".join(WORDS[(n * 5 + w * (1 + n % 4)) % 12] for w in range(20 + n))})
        for n in range(12)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    project.content["data"] = {
        "file": "text.jsonl",
        "sha256": data_sha256(path),
        "text": {"context_size": 8, "skip_first": skip_first},
        "description": "Word salad.",
        "pooling": "every_token",
        "held_out": {"fraction": 0.25, "seed": 0},
        "conditions": {"everything": {}},
    }
    project.content["saes"]["conditions"] = ["everything"]
    loaded = project.load()
    text = loaded.manifest.data.text
    assert text is not None
    base = load_base_model(loaded.manifest.base_model, override=project.checkpoint)
    contexts = [
        context
        for document in load_document_split(loaded).train
        for context in context_token_ids(base.tokenizer, document.text, text)
    ]
    read = capture_contexts(base, contexts, frozenset(PLACES.values()), Silent())
    kept = np.concatenate([np.arange(len(context)) >= skip_first for context in contexts])
    assert_agree(of_the_trainer(project), {place: v[kept] for place, v in read.vectors.items()})
