"""`release retrain` and `release run`: options, what they refuse, and exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from manifests.completions import completions_jsonl
from release.cli import main


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    def run(verb: str, project: Any, *arguments: object) -> Finished:
        project.load()
        build = project.path.parent / "build"
        code = main([verb, str(project.path), "--build", str(build), *map(str, arguments)])
        captured = capsys.readouterr()
        return Finished(code, captured.out, captured.err)

    return run


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The calls of the stage, which does nothing."""
    import retrain.stage

    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(
        retrain.stage, "retrain", lambda loaded, build, **options: calls.append(options)
    )
    return calls


def record_of(project: Any) -> dict[str, Any]:
    build = project.path.parent / "build" / project.path.stem
    text = (build / "repository" / "training.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def test_options_reach_the_stage(command: Any, project: Any, stage: Any, tmp_path: Path) -> None:
    data = tmp_path / "mine.jsonl"
    data.write_bytes(b"")
    finished = command(
        "retrain", project, "--device", "cuda:1", "--only", "topk_*", "--base-model", "a/b",
        "--data", data, "--memory-gb", "3.5", "--engine", "ray", "--ray-address", "auto",
    )  # fmt: skip
    assert finished.code == 0, finished.err
    (options,) = stage
    del options["progress"]
    assert options == {
        "device": "cuda:1",
        "only": "topk_*",
        "base_model": "a/b",
        "data": data,
        "memory_gb": 3.5,
        "engine": "ray",
        "ray_address": "auto",
    }


def test_without_options_the_manifest_decides(command: Any, project: Any, stage: Any) -> None:
    assert command("retrain", project).code == 0
    (options,) = stage
    assert options["engine"] == "local"
    open_ = ("device", "only", "base_model", "data", "memory_gb", "ray_address")
    assert [options[name] for name in open_] == [None] * 6


def test_run_passes_what_concerns_training(
    command: Any, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from manifests.errors import UsageError
    from release import pipeline

    seen: list[Any] = []

    def stop(loaded: Any, build: Any, options: Any, *, progress: Any) -> None:
        seen.append(options)
        raise UsageError("that is enough")

    monkeypatch.setattr(pipeline, "train", stop)
    options = ("--device", "cpu", "--memory-gb", "2", "--base-model", "a/b", "--engine", "ray")
    finished = command("run", project, "--hub", "embedded", *options)
    assert (finished.code, finished.out) == (2, "")
    (training,) = seen
    assert (training.device, training.memory_gb) == ("cpu", 2.0)
    assert (training.base_model, training.engine.value) == ("a/b", "ray")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--device", "gpu"), "'gpu' is no device"),
        (("--memory-gb", "0"), "0 is no amount of memory"),
        (("--memory-gb", "-1"), "--memory-gb"),
        (("--data", "absent.jsonl"), "there is no absent.jsonl"),
        (("--only", "zzz*"), "'zzz*' matches no SAE"),
        (("--ray-address", "auto"), "the engine is local"),
        (("--engine", "slurm"), "slurm"),
        (("--submit",), "--submit: there is no job: the engine is local"),
        (("--job-tool", "x==1", "--engine", "ray"), "--job-tool: there is no job"),
        (("--engine", "hf-jobs", "--device", "cpu"), "without --device"),
        (("--engine", "hf-jobs", "--memory-gb", "4"), "without --memory-gb"),
        (("--engine", "hf-jobs"), "hardware.target.flavor: the manifest names no machine"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_says_why(
    arguments: tuple[str, ...], told: str, command: Any, project: Any
) -> None:
    if arguments == ("--engine", "hf-jobs"):
        arguments += ("--job-tool", "sae-release[retrain]==0.1.0")
    finished = command("retrain", project, *arguments)
    assert finished.code == 2
    assert finished.out == ""
    assert told in " ".join(finished.err.split())


def test_run_does_not_wait_for_a_job(command: Any, project: Any) -> None:
    finished = command("run", project, "--engine", "hf-jobs", "--hub", "embedded")
    assert finished.code == 2
    assert f"release retrain {project.path} --engine hf-jobs" in finished.err


def test_a_gpu_that_is_not_there_is_refused_in_torchs_words(
    command: Any, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrain.planning import devices

    nothing = devices.Machine(0, (), "Torch not compiled with CUDA enabled", built_for_cuda=False)
    monkeypatch.setattr(devices, "this_machine", lambda: nothing)
    finished = command("retrain", project, "--device", "cuda", "--base-model", project.checkpoint)
    assert (finished.code, finished.out) == (2, "")
    told = " ".join(finished.err.split())
    assert "error: --device: cuda was asked for, and torch cannot use a GPU here" in told
    assert "Torch not compiled with CUDA enabled" in told
    assert "or train with --device cpu" in told


def test_another_device_than_the_target_is_said_and_recorded(command: Any, project: Any) -> None:
    project.content["hardware"] = {"target": {"device": "cuda", "memory_gb": 4}}
    options = ("--device", "cpu", "--base-model", project.checkpoint, "--only", "topk_L0_*")
    finished = command("retrain", project, *options)
    assert finished.code == 0, finished.err
    assert "training on cpu; the manifest's target is cuda (recorded)" in finished.err
    # The plan is of all SAEs of the manifest, so that a later call plans the same.
    assert "training plan: 12 SAEs, one at a time, " in finished.err
    assert "budget 4.0 GB" in finished.err
    assert "2 of 12 SAEs lie under" in finished.out
    record = record_of(project)
    assert record["target"] == {
        "device": "cuda", "memory_gb": 4.0, "compute_capability": None, "budget_gb": 4.0,
    }  # fmt: skip
    assert record["environment"]["device"] == "cpu"
    assert {sae["device"] for sae in record["saes"].values()} == {"cpu"}
    assert record["substituted"] is None


def test_a_budget_that_is_too_small_is_refused_before_anything_is_loaded(
    command: Any, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from validators.base_models import base_model

    def load(*args: Any, **options: Any) -> None:
        raise AssertionError("the base model was loaded")

    monkeypatch.setattr(base_model, "load_base_model", load)
    options = ("--base-model", project.checkpoint, "--memory-gb", "0.4")
    finished = command("retrain", project, *options)
    assert (finished.code, finished.out) == (2, "")
    told = " ".join(finished.err.split())
    assert "error: --memory-gb: training one gated SAE of 16 -> 32 needs 0.50 GB = 0.50 pro" in told
    assert "the budget is 0.4 GB" in told
    assert "next: plan for a larger device or --memory-gb, or for a smaller saes.expansion" in told


def test_bf16_is_refused_for_a_target_without_it(
    command: Any, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrain.planning import devices

    nothing = devices.Machine(0, (), "Found no NVIDIA driver", built_for_cuda=True)
    monkeypatch.setattr(devices, "this_machine", lambda: nothing)
    project.content["hardware"] = {"target": {"device": "cuda", "compute_capability": "7.5"}}
    project.content["base_model"]["precision"] = {"weights": "bf16", "compute": "bf16"}
    finished = command("retrain", project, "--base-model", project.checkpoint)
    assert finished.code == 2
    told = " ".join(finished.err.split())
    assert "hardware.target.compute_capability is 7.5: such a GPU computes no bf16" in told
    assert "fp16 or fp32" in told


def test_other_data_is_recorded_and_fails_the_check_that_a_push_needs(
    command: Any, project: Any, completions: Any, tmp_path: Path
) -> None:
    data = tmp_path / "mine.jsonl"
    data.write_bytes(completions_jsonl(completions[4:]))
    options = ("--base-model", project.checkpoint, "--data", data, "--only", "topk_L0_*")
    finished = command("retrain", project, *options)
    assert finished.code == 0, finished.err
    assert record_of(project)["substituted"]["data"]["used"] == "mine.jsonl"
    checked = command("validate", project, "--tier", "static", "--select", "F008")
    assert checked.code == 1
    told = " ".join(checked.out.split())
    assert "F008 failed: the weights were made from something else than the manifest names" in told
    assert "data mine.jsonl" in told
    assert "training without --data" in told


@pytest.fixture
def for_a_job(project: Any) -> Any:
    project.content["hardware"] = {"target": {"device": "cuda", "flavor": "t4-small"}}
    return project


JOB = ("--engine", "hf-jobs", "--job-tool", "sae-release[retrain]==0.1.0")


def test_a_job_is_shown_and_not_started(
    command: Any, for_a_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi

    def run(*args: Any, **options: Any) -> None:
        raise AssertionError("the job was started")

    monkeypatch.setattr(HfApi, "run_uv_job", run)
    finished = command("retrain", for_a_job, *JOB, "--job-timeout", "90m")
    assert finished.code == 0, finished.err
    assert "12 SAEs" in finished.out
    assert "t4-small, for at most 90m" in finished.out
    assert "nothing was started; to start it: release retrain" in finished.err
    assert "--job-timeout '90m' --submit" in finished.err


def test_a_job_that_is_submitted_says_where_it_is(
    command: Any, for_a_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi

    started: list[dict[str, Any]] = []

    def run(self: HfApi, script: str, **options: Any) -> Any:
        started.append(options)
        return SimpleNamespace(id="j1", url="https://huggingface.co/jobs/me/j1")

    monkeypatch.setattr(HfApi, "run_uv_job", run)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    finished = command("retrain", for_a_job, *JOB, "--submit")
    assert finished.code == 0, finished.err
    assert started[0]["flavor"] == "t4-small"
    assert "job j1 was started: https://huggingface.co/jobs/me/j1" in finished.out
    assert "hf_secret" not in finished.out + finished.err


def test_a_job_without_a_token_is_not_started(command: Any, for_a_job: Any) -> None:
    finished = command("retrain", for_a_job, *JOB, "--submit")
    assert finished.code == 4
    assert "hf auth login" in finished.err


def test_a_hub_without_jobs_is_refused(
    command: Any, for_a_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    finished = command("retrain", for_a_job, *JOB, "--submit")
    assert finished.code == 2
    assert "runs no jobs" in finished.err


def test_bf16_is_refused_for_a_job_too(command: Any, for_a_job: Any) -> None:
    for_a_job.content["hardware"]["target"]["compute_capability"] = "7.5"
    for_a_job.content["base_model"]["precision"] = {"weights": "nf4", "compute": "bf16"}
    finished = command("retrain", for_a_job, *JOB)
    assert (finished.code, finished.out) == (2, "")
    assert "computes no bf16" in finished.err


def test_the_help_names_every_option_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["retrain", "--help"]) == 0
    told = capsys.readouterr().out
    for option in ("--device", "--only", "--base-model", "--data", "--engine", "--ray-address",
                   "--submit", "--memory-gb"):  # fmt: skip
        assert option in told
    assert "Example: release retrain manifests/" in told
