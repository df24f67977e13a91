"""What is asked of Hugging Face Jobs; nothing is contacted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import HfApi

from manifests.data import DataNotAtHand
from manifests.digests import bytes_sha256
from manifests.errors import UsageError
from manifests.load import LoadedManifest, load_manifest
from manifests.model import Target
from retrain.engines.hf_job_files import NotSendable
from retrain.engines.hf_job_machine import (
    NoFlavor,
    checked_flavor,
    checked_tool,
    default_tool,
    pins_here,
    requirement_of,
)
from retrain.engines.hf_jobs import JobRequest, NoToken, SubmittedJob, job_request, submit

TOOL = "sae-release[retrain]==0.1.0"
TOKEN = "hf_" + "x" * 34


@pytest.fixture
def loaded(project: Any) -> LoadedManifest:
    """A manifest of 12 SAEs whose target is a T4."""
    project.content["hardware"] = {
        "ran_on": None,
        "target": {"device": "cuda", "memory_gb": 4, "flavor": "t4-small"},
    }
    return project.load()  # type: ignore[no-any-return]


@pytest.fixture
def request_(loaded: LoadedManifest) -> JobRequest:
    return job_request(loaded, tool=TOOL, pins=["torch==2.13.0"])


def test_the_request_names_the_machine_the_software_and_where_results_go(
    loaded: LoadedManifest, request_: JobRequest
) -> None:
    branch = f"retrain-{loaded.evidence_digest[:12]}"
    assert request_.flavor == "t4-small"
    assert request_.timeout == "2h"
    assert request_.dependencies == (TOOL, "torch==2.13.0")
    assert (request_.repo_id, request_.revision) == ("someone/tiny-saes", branch)
    assert request_.n_saes == 12
    assert request_.commands == (
        ("release", "retrain", "input/tiny.yaml", "--build", "build", "--device", "cuda"),
        (
            *("huggingface_hub.cli.hf", "upload", "someone/tiny-saes"),
            *("build/tiny/repository", ".", "--revision", branch, "--private"),
            *("--commit-message", f"Retrain tiny from manifest {loaded.digest[:12]}"),
        ),
    )


def test_results_go_to_the_repository_that_the_manifest_takes_its_weights_from(
    project: Any,
) -> None:
    project.content["hardware"] = {"target": {"flavor": "cpu-basic"}}
    project.content["weights"] = {"repo_id": "someone/staging"}
    made = job_request(project.load(), tool=TOOL, revision="second-try", pins=[])
    assert (made.repo_id, made.revision) == ("someone/staging", "second-try")


@pytest.mark.parametrize("revision", ["main", "0" * 40])
def test_results_never_go_to_main_or_to_a_commit(loaded: LoadedManifest, revision: str) -> None:
    with pytest.raises(UsageError, match="results cannot go to"):
        job_request(loaded, tool=TOOL, revision=revision, pins=[])


def test_the_manifest_that_is_sent_is_the_same_manifest(
    loaded: LoadedManifest, request_: JobRequest, tmp_path: Path
) -> None:
    for file in request_.files:
        target = tmp_path / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        source = file.source
        target.write_bytes(source if isinstance(source, bytes) else source.read_bytes())
        assert file.size_bytes == target.stat().st_size
        assert file.sha256 == bytes_sha256(target.read_bytes())
    assert [file.path for file in request_.files] == ["input/tiny.yaml", "input/completions.jsonl"]
    assert load_manifest(tmp_path / "input/tiny.yaml").digest == loaded.digest


def test_a_manifest_that_extends_a_study_is_sent_whole(tmp_path: Path) -> None:
    manifests = Path(__file__).parents[3] / "manifests"
    study = load_manifest(manifests / "smollm2-135m.yaml")
    with pytest.raises(NoFlavor, match="names no machine") as error:
        job_request(study, tool=TOOL, pins=[])
    assert error.value.where == "hardware.target.flavor"
    assert "t4-small" in str(error.value.expected)
    resolved = json.dumps(study.manifest.resolved())
    (tmp_path / "smollm2-135m.yaml").write_text(resolved, encoding="utf-8")
    assert load_manifest(tmp_path / "smollm2-135m.yaml").digest == study.digest


def test_a_manifest_that_leaves_its_data_open_is_refused(project: Any) -> None:
    project.content["hardware"] = {"target": {"flavor": "cpu-basic"}}
    del project.content["data"]["file"], project.content["data"]["sha256"]
    with pytest.raises(DataNotAtHand):
        job_request(project.load(), tool=TOOL, pins=[])


def test_data_that_differs_from_its_digest_is_not_sent(loaded: LoadedManifest) -> None:
    with loaded.file_beside("completions.jsonl").open("ab") as stream:
        stream.write(b"\n")
    with pytest.raises(NotSendable, match="has the SHA-256"):
        job_request(loaded, tool=TOOL, pins=[])


def test_a_base_model_that_ships_in_a_package_is_refused(project: Any) -> None:
    project.content["hardware"] = {"target": {"flavor": "cpu-basic"}}
    project.content["base_model"]["package"] = {
        "requirement": "somebody==1",
        "module": "somebody",
        "gguf_file": "model.gguf",
        "sha256": "0" * 64,
    }
    with pytest.raises(NotSendable, match="ships in the package somebody==1"):
        job_request(project.load(), tool=TOOL, pins=[])


def test_a_mistyped_flavor_gets_the_nearest_one() -> None:
    with pytest.raises(NoFlavor) as error:
        checked_flavor(Target.model_validate({"flavor": "t4-smal"}))
    assert error.value.next_step == "did you mean t4-small?"


def test_a_machine_without_a_gpu_does_not_fit_a_cuda_target() -> None:
    with pytest.raises(NoFlavor, match="cpu-basic has no GPU"):
        checked_flavor(Target.model_validate({"device": "cuda", "flavor": "cpu-basic"}))


@pytest.mark.parametrize(
    "requirement",
    [
        "sae-release[retrain]==0.1.0",
        "sae-release[retrain] @ git+https://github.com/someone/sae-release@" + "a" * 40,
        "sae-release[retrain] @ https://example.org/sae_release-0.1.0.whl#sha256=" + "b" * 64,
    ],
)
def test_a_pinned_tool_is_taken(requirement: str) -> None:
    assert checked_tool(requirement) == requirement


@pytest.mark.parametrize(
    "requirement",
    [
        "sae-release[retrain]",
        "sae-release[retrain]>=0.1",
        "sae-release[retrain]==0.*",
        "sae-release[retrain] @ git+https://github.com/someone/sae-release@main",
        "sae-release[retrain] @ https://example.org/sae_release-0.1.0.whl",
    ],
)
def test_a_tool_that_may_be_another_one_tomorrow_is_refused(requirement: str) -> None:
    with pytest.raises(UsageError, match="is not pinned"):
        checked_tool(requirement)


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        (None, "sae-release[retrain]==0.1.0"),
        (
            {"url": "https://x.org/a.git", "vcs_info": {"vcs": "git", "commit_id": "a" * 40}},
            "sae-release[retrain] @ git+https://x.org/a.git@" + "a" * 40,
        ),
        (
            {"url": "https://x.org/a.whl", "archive_info": {"hashes": {"sha256": "b" * 64}}},
            "sae-release[retrain] @ https://x.org/a.whl#sha256=" + "b" * 64,
        ),
    ],
)
def test_a_job_installs_the_tool_from_where_it_came(origin: Any, requirement: str) -> None:
    found = requirement_of("0.1.0", json.dumps(origin) if origin else None)
    assert found == requirement
    assert checked_tool(found) == requirement


@pytest.mark.parametrize(
    "origin",
    [
        {"url": "file:///home/me/sae-release", "dir_info": {"editable": True}},
        {"url": "file:///home/me/a.git", "vcs_info": {"vcs": "git", "commit_id": "a" * 40}},
        {"url": "file:///home/me/a.whl", "archive_info": {"hashes": {"sha256": "b" * 64}}},
        {"url": "https://x.org/a.whl", "archive_info": {}},
    ],
)
def test_a_tool_that_only_this_machine_has_is_no_requirement(origin: Any) -> None:
    assert requirement_of("0.1.0", json.dumps(origin)) is None


def test_a_tool_from_a_folder_is_refused_with_the_option_to_add(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    origin = json.dumps({"url": "file:///home/me/sae-release", "dir_info": {}})
    found = SimpleNamespace(read_text=lambda _: origin)
    monkeypatch.setattr("retrain.engines.hf_job_machine.distribution", lambda _: found)
    monkeypatch.setattr("retrain.engines.hf_job_machine.tool_version", lambda: "0.1.0")
    with pytest.raises(UsageError, match="installed from a folder of this machine") as error:
        default_tool()
    assert "--job-tool" in (error.value.next_step or "")


@pytest.mark.parametrize("timeout", ["", "2", "0h", "2 hours", "1.5h"])
def test_a_time_limit_that_cannot_be_read_is_refused(loaded: LoadedManifest, timeout: str) -> None:
    with pytest.raises(UsageError, match="is no time limit"):
        job_request(loaded, tool=TOOL, timeout=timeout, pins=[])


def test_the_pins_are_public_versions_of_what_decides_the_weights() -> None:
    pins = dict(pin.split("==") for pin in pins_here())
    assert {"torch", "transformers", "sae-lens", "numpy", "safetensors"} <= set(pins)
    assert [version for version in pins.values() if "+" in version] == []


def test_the_description_says_what_is_sent_run_and_billed(request_: JobRequest) -> None:
    lines = request_.describe().splitlines()
    data = request_.files[1]
    assert lines[0] == "job retrain-tiny: 12 SAEs"
    assert "  machine   t4-small, for at most 2h, which bounds the bill" in lines
    assert f"  installs  {TOOL}, torch==2.13.0" in lines
    assert (
        f"  sends     input/completions.jsonl, {data.size_bytes:,} bytes, SHA-256 {data.sha256}"
        in lines
    )
    assert (
        f"  script    hf_job_script.py, SHA-256 {bytes_sha256(request_.script.encode())}" in lines
    )
    assert "  secrets   HF_TOKEN" in lines


class Jobs:
    """Stands in for `HfApi.run_uv_job`: keeps the request and the bytes of the files sent."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.files: list[bytes] = []

    def run_uv_job(self, script: str, **options: Any) -> SimpleNamespace:
        """Note what was asked for."""
        self.options = options
        self.files = [Path(path).read_bytes() for path in (script, *options["script_args"])]
        sys.stdout.write("Your script will be saved in a bucket\n")
        return SimpleNamespace(id="abc", url="https://huggingface.co/jobs/someone/abc")


def test_a_submitted_job_is_the_request_and_the_token_is_a_secret(
    request_: JobRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = Jobs()
    assert submit(request_, token=TOKEN, run=jobs.run_uv_job) == SubmittedJob(
        "abc", "https://huggingface.co/jobs/someone/abc"
    )
    script, plan, manifest, data = jobs.files
    assert script == request_.script.encode()
    assert json.loads(plan)["commands"] == [list(command) for command in request_.commands]
    assert [bytes_sha256(manifest), bytes_sha256(data)] == [f.sha256 for f in request_.files]
    del jobs.options["script_args"]
    assert jobs.options == {
        "dependencies": [TOOL, "torch==2.13.0"],
        "python": "3.12",
        "image": "ghcr.io/astral-sh/uv:python3.12-bookworm",
        "env": {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
        "secrets": {"HF_TOKEN": TOKEN},
        "flavor": "t4-small",
        "timeout": "2h",
        "name": "retrain-tiny",
        "namespace": None,
        "token": TOKEN,
    }
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "bucket" in printed.err


def test_the_token_is_in_nothing_that_is_shown_or_sent_as_a_file(request_: JobRequest) -> None:
    jobs = Jobs()
    submitted = submit(request_, token=TOKEN, run=jobs.run_uv_job)
    shown = f"{request_.describe()} {request_!r} {submitted!r}"
    assert TOKEN not in shown
    assert [content for content in jobs.files if TOKEN.encode() in content] == []


def test_without_a_token_nothing_is_submitted(request_: JobRequest) -> None:
    jobs = Jobs()
    with pytest.raises(NoToken):
        submit(request_, token=None, run=jobs.run_uv_job)
    assert jobs.files == []


class Recording(HfApi):
    """The real client, whose calls to the Hub are kept instead of made."""

    def whoami(self, *args: Any, **options: Any) -> dict[str, str]:
        return {"name": "someone"}

    def create_bucket(self, *args: Any, **options: Any) -> SimpleNamespace:
        assert options["private"] is True
        return SimpleNamespace(url="https://huggingface.co/buckets/someone/jobs-artifacts")

    def batch_bucket_files(self, *args: Any, **options: Any) -> None:
        self.uploaded = {target.rpartition("/")[2]: source for source, target in options["add"]}

    def run_job(self, **options: Any) -> SimpleNamespace:
        self.job = options
        return SimpleNamespace(id="abc", url="https://huggingface.co/jobs/someone/abc")


def test_huggingface_hubs_own_client_makes_this_command_of_it(request_: JobRequest) -> None:
    api = Recording(token=False)
    submit(request_, token=TOKEN, run=api.run_uv_job)
    assert api.job["command"] == [
        *("uv", "run", "--with", TOOL, "--with", "torch==2.13.0", "--python", "3.12"),
        *("/data/hf_job_script.py", "/data/plan.json", "/data/0-tiny.yaml"),
        "/data/completions.jsonl",
    ]
    names = {"hf_job_script.py", "plan.json", "0-tiny.yaml", "completions.jsonl"}
    assert set(api.uploaded) == names
    assert api.job["secrets"] == {"HF_TOKEN": TOKEN}
    assert TOKEN not in json.dumps([api.job["command"], api.job["env"]])


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[[JobRequest], subprocess.CompletedProcess[str]]:
    """Run the script in a process that has a `release` and an `hf` which only note their calls."""
    noting = (
        "import json, os, sys\n"
        "with open(os.environ['CALLS'], 'a', encoding='utf-8') as calls:\n"
        "    print(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]), file=calls)\n"
    )
    fake, sent = tmp_path / "fake", tmp_path / "sent"
    for module, body in {
        "release/__init__.py": "",
        "release/__main__.py": noting + "sys.exit(int(os.environ['RELEASE_EXIT']))\n",
        "huggingface_hub/__init__.py": "",
        "huggingface_hub/cli/__init__.py": "",
        "huggingface_hub/cli/hf.py": noting,
    }.items():
        (fake / module).parent.mkdir(parents=True, exist_ok=True)
        (fake / module).write_text(body, encoding="utf-8")
    sent.mkdir()
    (tmp_path / "job").mkdir()

    def run(request: JobRequest, *, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        (sent / "script.py").write_text(request.script, encoding="utf-8")
        (sent / "plan.json").write_bytes(request.plan())
        arguments = [sent / "script.py", sent / "plan.json"]
        for number, file in enumerate(request.files):
            source = file.source
            content = source if isinstance(source, bytes) else source.read_bytes()
            arguments.append(sent / str(number))
            arguments[-1].write_bytes(content)
        own = {"PYTHONPATH": str(fake), "CALLS": str(tmp_path / "calls")}
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path / "job",
            env={**os.environ, **own, "RELEASE_EXIT": str(exit_code)},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    return run


def calls_of(tmp_path: Path) -> list[list[str]]:
    lines = (tmp_path / "calls").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_script_lays_out_the_files_trains_and_uploads(
    loaded: LoadedManifest, request_: JobRequest, run_script: Any, tmp_path: Path
) -> None:
    ended = run_script(request_)
    assert ended.returncode == 0, ended.stderr
    train, upload = request_.commands
    assert calls_of(tmp_path) == [["__main__.py", *train[1:]], ["hf.py", *upload[1:]]]
    work = tmp_path / "job" / "work"
    assert load_manifest(work / "input" / "tiny.yaml").digest == loaded.digest
    data = loaded.file_beside("completions.jsonl").read_bytes()
    assert (work / "input" / "completions.jsonl").read_bytes() == data


def test_the_script_uploads_nothing_when_training_failed(
    request_: JobRequest, run_script: Any, tmp_path: Path
) -> None:
    ended = run_script(request_, exit_code=3)
    assert ended.returncode == 3
    assert [call[0] for call in calls_of(tmp_path)] == ["__main__.py"]


def test_the_script_refuses_a_file_that_arrived_changed(
    request_: JobRequest, run_script: Any, tmp_path: Path
) -> None:
    first, second = request_.files
    ended = run_script(replace(request_, files=(first, replace(second, sha256="0" * 64))))
    assert ended.returncode == 1
    assert "has the SHA-256" in ended.stderr
    assert not (tmp_path / "calls").exists()


def test_the_script_imports_nothing_but_the_standard_library(request_: JobRequest) -> None:
    import ast

    names = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(request_.script))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    outside = {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}
    assert names
    assert outside == set()
