"""A manifest whose data is plain text, trained and then checked against its held-out documents."""

from __future__ import annotations

import json
from typing import Any

from manifests.data_at_hand import data_sha256
from manifests.progress import Silent
from retrain.stage import retrain
from validators.options import ValidateOptions
from validators.stage import validate_build
from validators.training_record import read_training_record

WORDS = ["no", "yes", "the", "cup", "was", "broken", "by", "me", "you", "saw", "it", "never"]


def test_saes_of_a_text_are_trained_and_pass_the_checks_on_activations(project: Any) -> None:
    path = project.path.parent / "text.jsonl"
    documents = [
        " ".join(WORDS[(n * 5 + w * (1 + n % 4)) % 12] for w in range(20 + n)) for n in range(40)
    ]
    lines = [json.dumps({"text": document}) for document in documents]
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
    project.content["saes"] |= {
        "conditions": ["everything"],
        "layers": [1],
        "architectures": ["topk"],
    }
    loaded = project.load()
    retrain(loaded, project.build, device="cpu", base_model=project.checkpoint, progress=Silent())
    options = ValidateOptions(base_model=project.checkpoint)
    report = validate_build(loaded, project.build, options=options, progress=Silent())
    failed = [o for o in report.checks.outcomes if o.outcome in ("failed", "crashed")]
    assert failed == []
    counts = read_training_record(project.build.training_json).data.n_vectors["everything"]
    assert report.measurements is not None
    assert report.measurements.n_vectors == {
        "everything": {"train": counts.train, "held_out": counts.held_out}
    }
    # 40 * (20 + 59) / 2 = 1580 words in documents of 20 to 59. Each of their 3 to 8 contexts loses
    # its first position: 3 * 5 + 4 * 8 + 5 * 8 + 6 * 8 + 7 * 8 + 8 * 3 = 215.
    assert counts.train + counts.held_out == sum(range(20, 60)) - 215
