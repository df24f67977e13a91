from pathlib import Path
from typing import Any

import pytest

from validators.training_record import (
    TrainingRecord,
    UnreadableTrainingRecord,
    read_training_record,
)

SHA = "a" * 64


DEMO = {"stated": "a/b", "used": "folder c", "digest": SHA}


def record(top: dict[str, Any] | None = None, **changes: Any) -> TrainingRecord:
    sae = {
        "inputs_digest": SHA,
        "seed": 7,
        "n_train": 30,
        "epochs": 2,
        "steps": 8,
        "batch_size": 8,
        "learning_rate": 3e-4,
        "device": "cpu",
        "n_saes_together": 1,
        "micro_batch": 8,
        "seconds": 1.5,
        "input_scale": 40.25,
        "final": {"loss": 0.25, "l0": 64.0},
        "loss_curve": [(4, 0.5, 64.0, 0.5), (8, 0.25, 64.0, 0.75)],
        "threshold_init": None,
        "files": {"cfg.json": SHA, "sae_weights.safetensors": SHA},
    }
    return TrainingRecord.model_validate(
        {
            "tool_version": "0.1.0",
            "manifest_digest": SHA,
            "base_model": {"id": "a/b", "digest": SHA, "source": "here", "precision": {}},
            "data": {
                "file": "data/x.jsonl",
                "sha256": SHA,
                "n_vectors": {"mixed": {"train": 30, "held_out": 10}},
                "pooling": "last_token",
            },
            "substituted": None,
            "target": {
                "device": "cuda",
                "memory_gb": 4.0,
                "compute_capability": "7.5",
                "budget_gb": 4.0,
            },
            "environment": {"python": "3.11", "driver": None},
            "seconds_total": 1.5,
            "saes": {"topk_L0_mixed": {**sae, **changes}},
            **(top or {}),
        }
    )


def test_a_record_that_is_written_reads_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    record().write(path)
    assert read_training_record(path) == record()
    assert path.read_bytes().endswith(b"}\n")


def test_equal_records_have_equal_bytes() -> None:
    assert record().content() == record().content()


def test_a_missing_record_names_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTrainingRecord, match="release retrain MANIFEST"):
        read_training_record(tmp_path / "training.json")


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    text = record().content().decode().replace('"seed"', '"sead"')
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableTrainingRecord, match=r"saes\.topk_L0_mixed\.se[ea]d"):
        read_training_record(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("input_scale", 0.0),
        ("seconds", float("nan")),
        ("n_train", 0),
        ("files", {"a": "short"}),
        ("micro_batch", 0),
        ("n_saes_together", 0),
        # Of another format: a point of the curve has an explained variance too.
        ("loss_curve", [(4, 0.5, 64.0)]),
    ],
)
def test_impossible_values_are_refused(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=key):
        record(**{key: value})


@pytest.mark.parametrize("part", ["base_model", "data"])
def test_a_substitution_of_one_part_reads_back_equal(part: str, tmp_path: Path) -> None:
    substituted = {"base_model": None, "data": None, part: DEMO}
    written = record({"substituted": substituted})
    written.write(tmp_path / "training.json")
    assert read_training_record(tmp_path / "training.json") == written


def test_a_substitution_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a substitution of nothing is null"):
        record({"substituted": {"base_model": None, "data": None}})


def test_data_of_the_hub_have_no_file() -> None:
    data = {
        "file": None,
        "sha256": None,
        "dataset": "a/texts@1234",
        "n_vectors": {"mixed": {"train": 30, "held_out": 10}},
        "pooling": "last_token",
    }
    assert record({"data": data}).data.dataset == "a/texts@1234"
