"""Which device trains, and what is refused before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from manifests.base_model import Precision
from manifests.errors import UsageError
from manifests.model import Target
from retrain.planning.base_model_size import base_model_size
from retrain.planning.devices import (
    ChosenDevice,
    DeviceUnavailable,
    Machine,
    chosen_device,
    refuse_missing_precision,
    this_machine,
)
from validators.base_models.precisions import PrecisionProblem

NO_CUDA = Machine(0, (), "Torch not compiled with CUDA enabled", built_for_cuda=False)
NO_DRIVER = Machine(0, (), "Found no NVIDIA driver on your system.", built_for_cuda=True)
LAPTOP = Machine(1, ((7, 5),), "", built_for_cuda=True)
SERVER = Machine(2, ((9, 0), (9, 0)), "", built_for_cuda=True)
BF16 = Precision.model_validate({"weights": "nf4", "compute": "bf16"})


def target(**fields: Any) -> Target:
    return Target.model_validate(fields)


CUDA = target(device="cuda", memory_gb=4, compute_capability="7.5")


def test_the_targets_device_is_taken_where_it_is_there() -> None:
    assert chosen_device(None, CUDA, LAPTOP) == ChosenDevice("cuda", None)
    assert chosen_device(None, target(), SERVER) == ChosenDevice("cpu", None)


def test_the_cpu_stands_in_for_a_gpu_that_is_not_there_and_says_so() -> None:
    found = chosen_device(None, CUDA, NO_CUDA)
    assert found.name == "cpu"
    assert found.note is not None
    assert "not on the manifest's cuda" in found.note
    assert "Torch not compiled with CUDA enabled" in found.note


def test_another_device_than_the_target_is_allowed_and_said() -> None:
    found = chosen_device("cpu", CUDA, LAPTOP)
    assert found == ChosenDevice("cpu", "training on cpu; the manifest's target is cuda (recorded)")
    assert chosen_device("cuda:1", target(), SERVER).note == (
        "training on cuda:1; the manifest's target is cpu (recorded)"
    )
    assert chosen_device("cuda:1", CUDA, SERVER).note is None


@pytest.mark.parametrize(
    ("machine", "mend"), [(NO_CUDA, "build of torch for CUDA"), (NO_DRIVER, "NVIDIA driver")]
)
def test_a_gpu_that_was_asked_for_and_is_not_there_is_refused_in_torchs_words(
    machine: Machine, mend: str
) -> None:
    with pytest.raises(DeviceUnavailable) as refused:
        chosen_device("cuda", target(), machine)
    assert machine.refusal in refused.value.what
    assert refused.value.next_step is not None
    assert mend in refused.value.next_step
    assert "--device cpu" in refused.value.next_step


def test_a_gpu_number_that_is_too_large_is_refused_with_those_there_are() -> None:
    with pytest.raises(DeviceUnavailable, match="torch finds 2 GPUs") as refused:
        chosen_device("cuda:2", CUDA, SERVER)
    assert refused.value.expected == "cuda:0, cuda:1"


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "mps", "cuda:0 ", ""])
def test_what_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--device"):
        chosen_device(name, CUDA, SERVER)


def test_torch_is_asked_about_this_machine() -> None:
    import torch

    found = this_machine()
    assert (found.n_gpus > 0) == torch.cuda.is_available()
    assert bool(found.refusal) == (found.n_gpus == 0)


def refuse(asked: str | None, of: Target, machine: Machine, precision: Precision = BF16) -> None:
    device = chosen_device(asked, of, machine)
    refuse_missing_precision(precision, of, asked=asked, device=device, machine=machine)


def test_bf16_is_refused_on_a_target_without_it() -> None:
    with pytest.raises(PrecisionProblem) as refused:
        refuse(None, CUDA, NO_CUDA)
    assert "hardware.target.compute_capability is 7.5" in refused.value.what
    assert refused.value.where == "base_model.precision"
    assert refused.value.next_step is not None
    assert "fp16 or fp32" in refused.value.next_step


def test_a_gpu_that_is_here_answers_for_itself() -> None:
    refuse(None, CUDA, SERVER)
    refuse("cuda:1", CUDA, SERVER)
    with pytest.raises(PrecisionProblem, match=r"7\.5"):
        refuse(None, target(device="cuda", compute_capability="9.0"), LAPTOP)


def test_bf16_is_allowed_on_a_cpu_that_was_asked_for() -> None:
    refuse("cpu", CUDA, NO_CUDA)
    assert chosen_device("cpu", CUDA, NO_CUDA).note is not None


def test_other_precisions_are_allowed_on_compute_capability_7_5() -> None:
    fp16 = Precision.model_validate({"weights": "nf4", "compute": "fp16"})
    refuse(None, CUDA, LAPTOP, fp16)
    refuse(None, CUDA, NO_CUDA, fp16)
    with pytest.raises(PrecisionProblem):
        refuse(None, CUDA, LAPTOP)


def test_a_checkpoints_weights_are_counted_from_its_headers(project: Any) -> None:
    found = base_model_size(project.load(), override=project.checkpoint)
    assert found is not None
    # Embedding and head 2 * 13 * 16 = 416. A block: 4 * 16 * 16 in attention, 3 * 16 * 32 in the
    # MLP, 2 * 16 in norms = 2592. Two blocks and the last norm of 16: 5616 in all.
    assert found.n_parameters == 5616
    # 416, and norms of (2 * 2 + 1) * 16 = 80.
    assert found.n_unquantised == 496


def test_the_size_of_a_model_that_is_not_here_is_not_known(
    project: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert base_model_size(project.load(), override=None) is None
    assert base_model_size(project.load(), override="someone/else@main") is None
    assert base_model_size(project.load(), override="no id at all") is None


def test_a_checkpoint_with_a_missing_shard_is_not_counted(
    make_project: Callable[..., Any], tmp_path: Path
) -> None:
    import shutil

    project = make_project()
    folder = tmp_path / "half"
    shutil.copytree(project.checkpoint, folder)
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert base_model_size(project.load(), override=str(folder)) is None
