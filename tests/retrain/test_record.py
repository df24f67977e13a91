"""training.json as retraining writes it: devices, budgets, substitutions."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from manifests.base_model import BaseModelSpec, Precision
from manifests.digests import file_sha256
from manifests.progress import Silent
from retrain import environment as environment_module
from retrain.environment import driver_version, environment
from retrain.jobs import Job, Unit
from retrain.record import planned_for, sae_record, write_record
from retrain.resume import FinishedSae
from retrain.substitution import names_the_same, substitution
from retrain.training.train import Trained
from validators.training_record import (
    Replacement,
    TrainedOn,
    VectorCounts,
    read_training_record,
)

DIGEST = "d" * 64


def finished(loaded: Any, *, device: str = "cuda:1", micro_batch: int = 512) -> FinishedSae:
    spec = loaded.saes[0]
    job = Job(spec.sae_id, spec.hf_hook_name, None, spec.d_sae, loaded.manifest.recipe.topk, 77)
    unit = Unit((job,), loaded.manifest.recipe, device, micro_batch)
    trained = Trained(
        sae_id=spec.sae_id,
        tensors={},
        scale=2.0,
        threshold_init=None,
        steps=12,
        final_loss=0.5,
        final_l0=4.0,
        loss_curve=((12, 0.5, 4.0, 0.75),),
        seconds=1.23456,
        n_saes_together=3,
    )
    return FinishedSae(
        sae=sae_record(loaded, spec, trained, 28, "e" * 64, {"cfg.json": "f" * 64}, unit=unit),
        base_model=TrainedOn(id="a/b", digest=DIGEST, source="here", precision=Precision()),
        environment={"python": "3.11", "driver": None},
    )


def written(loaded: Any, build: Any, **options: Any) -> Any:
    record = {loaded.saes[0].sae_id: finished(loaded)}
    counts = {name: VectorCounts(train=28, held_out=12) for name in loaded.manifest.data.conditions}
    write_record(loaded, build, counts, record, Silent(), **options)
    return read_training_record(build.training_json)


def test_an_sae_says_where_and_with_how_many_it_was_trained(project: Any) -> None:
    sae = finished(project.load()).sae
    assert (sae.device, sae.n_saes_together, sae.seed) == ("cuda:1", 3, 77)
    assert sae.loss_curve == ((12, 0.5, 4.0, 0.75),)
    # The recipe's batch has 8 vectors, so there are no larger parts of it.
    assert sae.micro_batch == 8
    assert finished(project.load(), micro_batch=4).sae.micro_batch == 4


def test_the_record_names_the_target_beside_the_device_that_was_used(project: Any) -> None:
    target = {"device": "cuda", "memory_gb": 4, "compute_capability": "7.5"}
    project.content["hardware"] = {"target": target}
    loaded = project.load()
    found = written(loaded, project.build).target
    assert (found.device, found.memory_gb, found.compute_capability) == ("cuda", 4.0, "7.5")
    assert found.budget_gb == 4.0
    assert planned_for(loaded, 0.5).budget_gb == 0.5
    assert planned_for(loaded, 0.5).memory_gb == 4.0


def test_a_target_without_memory_has_no_budget(project: Any) -> None:
    assert written(project.load(), project.build).target.budget_gb is None


def test_nothing_is_substituted_when_the_manifests_own_is_used(project: Any) -> None:
    loaded = project.load()
    assert written(loaded, project.build).substituted is None
    own_data = loaded.file_beside(loaded.manifest.data.file)
    record = written(loaded, project.build, base_model=project.checkpoint, data=own_data)
    assert record.substituted is None


def test_other_data_is_recorded_with_name_and_digest(project: Any, tmp_path: Path) -> None:
    loaded = project.load()
    other = tmp_path / "mine.jsonl"
    other.write_bytes(b"{}\n")
    record = written(loaded, project.build, data=other)
    assert record.substituted is not None
    assert record.substituted.base_model is None
    assert record.substituted.data == Replacement(
        stated="completions.jsonl", used="mine.jsonl", digest=file_sha256(other)
    )
    assert (record.data.file, record.data.sha256) == ("mine.jsonl", file_sha256(other))


def test_another_base_model_is_recorded_without_its_path(project: Any, tmp_path: Path) -> None:
    folder = tmp_path / "another-llama"
    shutil.copytree(project.checkpoint, folder)
    record = written(project.load(), project.build, base_model=str(folder))
    assert record.substituted is not None
    assert record.substituted.base_model == Replacement(
        stated="someone/tiny-llama", used="folder another-llama", digest=DIGEST
    )
    assert str(tmp_path) not in project.build.training_json.read_text(encoding="utf-8")


def test_a_manifest_that_leaves_the_pooling_open_gets_the_one_used(project: Any) -> None:
    project.content["data"] |= {"pooling": None}
    record = written(project.load(), project.build, pooling="completion_mean")
    assert record.data.pooling == "completion_mean"


def test_data_of_the_hub_is_recorded_by_its_name(project: Any) -> None:
    project.content["data"] |= {"file": None, "sha256": None}
    project.content["data"]["dataset"] = {"id": "someone/texts", "revision": "abc"}
    record = written(project.load(), project.build)
    assert (record.data.file, record.data.dataset) == (None, "someone/texts@abc")
    assert record.substituted is None


def test_the_record_is_left_alone_when_it_says_the_same(project: Any) -> None:
    loaded = project.load()
    written(loaded, project.build)
    before = project.build.training_json.stat().st_mtime_ns
    written(loaded, project.build)
    assert project.build.training_json.stat().st_mtime_ns == before


def base_model(**fields: Any) -> BaseModelSpec:
    return BaseModelSpec.model_validate(
        {"id": "HuggingFaceTB/SmolLM2-135M", "model_type": "llama", "n_layers": 30, "d_model": 576}
        | fields
    )


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("name", "revision", "same"),
    [
        ("HuggingFaceTB/SmolLM2-135M", None, True),
        ("HuggingFaceTB/SmolLM2-135M@main", None, True),
        ("HuggingFaceTB/SmolLM2-135M", COMMIT, False),
        (f"HuggingFaceTB/SmolLM2-135M@{COMMIT}", COMMIT, True),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", None, False),
        ("someone/SmolLM2-135M", None, False),
    ],
)
def test_a_hub_id_is_the_manifests_by_name_and_revision(
    name: str, revision: str | None, same: bool
) -> None:
    assert names_the_same(name, base_model(revision=revision), DIGEST) == same


@pytest.mark.parametrize(
    ("folder", "revision", "same"),
    [
        ("SmolLM2-135M", None, True),
        ("HuggingFaceTB/SmolLM2-135M", None, True),
        ("SmolLM2-135M-Instruct", None, False),
        ("checkpoint", None, False),
        (f"models--HuggingFaceTB--SmolLM2-135M/snapshots/{COMMIT}", None, True),
        (f"models--HuggingFaceTB--SmolLM2-135M/snapshots/{COMMIT}", COMMIT, True),
        (f"models--HuggingFaceTB--SmolLM2-135M/snapshots/{COMMIT}", COMMIT[::-1], False),
        (f"models--someone--SmolLM2-135M/snapshots/{COMMIT}", None, False),
    ],
)
def test_a_folder_is_the_manifests_by_its_name(
    folder: str, revision: str | None, same: bool, tmp_path: Path
) -> None:
    (tmp_path / folder).mkdir(parents=True)
    spec = base_model(revision=revision)
    assert names_the_same(str(tmp_path / folder), spec, DIGEST) == same


def test_of_a_packaged_model_the_digest_decides(tmp_path: Path) -> None:
    package = {"requirement": "x==1", "module": "x", "gguf_file": "x.gguf", "sha256": DIGEST}
    spec = base_model(package=package)
    assert names_the_same(str(tmp_path), spec, DIGEST)
    assert not names_the_same("HuggingFaceTB/SmolLM2-135M", spec, "0" * 64)


def test_data_that_no_manifest_names_replaces_nothing_known(
    make_project: Callable[..., Any], tmp_path: Path
) -> None:
    project = make_project()
    project.content["data"] |= {"file": None, "sha256": None}
    other = tmp_path / "mine.jsonl"
    other.write_bytes(b"{}\n")
    found = substitution(project.load(), base_model=None, base_digest=DIGEST, data=other)
    assert found is not None
    assert found.data is not None
    assert found.data.stated is None


def test_the_environment_of_a_cpu_has_no_driver_and_names_no_machine() -> None:
    found = environment("cpu")
    assert found["device"] == "cpu"
    assert found["torch"] == torch.__version__
    assert found["engine"] == "local"
    nothing = ("compute_capability", "cuda", "driver")
    assert [found[name] for name in nothing] == [None, None, None]
    assert {"numpy", "safetensors", "sae-release", "transformers", "threads"} <= found.keys()
    import platform

    assert platform.node() not in [value for value in found.values() if value]


def test_bitsandbytes_is_named_where_it_was_used() -> None:
    assert "bitsandbytes" not in environment("cpu", precision=Precision())
    nf4 = Precision.model_validate({"weights": "nf4", "compute": "fp16"})
    assert environment("cpu", precision=nf4)["bitsandbytes"]


def test_the_environment_of_a_gpu_names_cuda_capability_and_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA T4")
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    monkeypatch.setattr(environment_module, "driver_version", lambda: "560.35")
    found = environment("cuda:1", engine="ray")
    assert found["device_name"] == "NVIDIA T4"
    assert (found["compute_capability"], found["cuda"]) == ("7.5", "12.6")
    assert (found["driver"], found["device"], found["engine"]) == ("560.35", "cuda:1", "ray")


def answer(output: str) -> Callable[..., Any]:
    return lambda *args, **options: subprocess.CompletedProcess(args, 0, output, "")


def test_the_driver_is_the_one_that_nvidia_smi_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(subprocess, "run", answer("560.35.03\n560.35.03\n"))
    assert driver_version() == "560.35.03"


def test_a_driver_that_does_not_answer_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert driver_version() is None

    def fail(*args: Any, **options: Any) -> None:
        raise subprocess.TimeoutExpired(args[0], 10)

    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(subprocess, "run", fail)
    assert driver_version() is None
