"""The command line from manifest to verified release, on a tiny random model, as a user runs it."""

from __future__ import annotations

import datetime
import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cards.block_results import code_sha256
from manifests.digests import file_sha256
from release.cli import main
from release.embedded_hub import EmbeddedHub
from validators.readme.snippets import python_blocks


@dataclass(frozen=True)
class Finished:
    """One command that ran: its exit code and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Ran:
    """A project whose whole pipeline ran once against the embedded Hub."""

    project: Any
    build: Path

    @property
    def repository(self) -> Path:
        return self.build / self.project.path.stem / "repository"

    @property
    def manifest(self) -> str:
        return str(self.project.path)

    @property
    def options(self) -> list[str]:
        return ["--build", str(self.build), "--base-model", self.project.checkpoint]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    def run(*arguments: str) -> Finished:
        capfd.readouterr()
        code = main(list(arguments))
        captured = capfd.readouterr()
        return Finished(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="module")
def ran(make_project_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    project = make_project_in(tmp_path_factory.mktemp("project"))
    # Enough training for every check to pass on a random model of width 16.
    project.content["recipe"] |= {"epochs": 60, "gated": {"l1_coefficient": 0.3}}
    project.load()
    build = tmp_path_factory.mktemp("build")
    ran = Ran(project, build)
    code = main(["run", ran.manifest, "--hub", "embedded", *ran.options])
    assert code == 0
    return ran


def hub_tree(build: Path, repo_id: str) -> tuple[dict[str, str], list[str]]:
    """sha256 or git oid by path at the head, and the commits, newest first."""
    with EmbeddedHub(build / "hub") as hub:
        from huggingface_hub import HfApi

        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        files = {
            entry.path: entry.lfs.sha256 if entry.lfs else entry.blob_id
            for entry in api.list_repo_tree(repo_id, recursive=True)
            if hasattr(entry, "blob_id")
        }
        return files, [commit.commit_id for commit in api.list_repo_commits(repo_id)]


def test_the_pipeline_publishes_every_file_in_one_commit(ran: Ran) -> None:
    files, commits = hub_tree(ran.build, "someone/tiny-saes")
    local = {p.relative_to(ran.repository).as_posix() for p in ran.repository.rglob("*.*")}
    assert set(files) - {".gitattributes"} == {name for name in local if "." in name}
    # One commit by the Hub when the repository is created, one by the push.
    assert len(commits) == 2
    weights = next(name for name in files if name.endswith(".safetensors"))
    assert files[weights] == file_sha256(ran.repository / weights)


def test_running_again_skips_what_is_done_and_makes_no_commit(ran: Ran, command) -> None:
    _, before = hub_tree(ran.build, "someone/tiny-saes")
    again = command("run", ran.manifest, "--hub", "embedded", *ran.options)
    _, after = hub_tree(ran.build, "someone/tiny-saes")
    assert again.code == 0, again.err
    assert after == before
    assert "0 commits" in again.out
    assert "every sha256 read back, and the Hub's copy validates" in again.out
    look = f"release validate someone/tiny-saes --hub embedded --tier load --build {ran.build}"
    assert look in " ".join(again.out.split())
    assert "no commit" in again.err
    assert "this very code was run before" in again.err
    assert "it was loaded from the Hub before" in again.err


def test_the_published_card_says_on_which_model_its_code_ran(ran: Ran) -> None:
    blocks = json.loads((ran.repository / "card.json").read_bytes())["blocks"]
    assert {run["outcome"] for run in blocks["runs"]} == {"ran"}
    assert blocks["base_model"] == {
        "used": "real",
        "id": "someone/tiny-llama",
        "class": "LlamaForCausalLM",
        "source": "local folder tiny-llama",
    }
    readme = (ran.repository / "README.md").read_text(encoding="utf-8")
    assert blocks["code_sha256"] == code_sha256(python_blocks(readme))


def test_the_result_goes_to_stdout_and_the_rest_to_stderr(ran: Ran, command) -> None:
    finished = command("validate", ran.manifest, "--format", "json", *ran.options)
    assert finished.code == 0, finished.err
    report = json.loads(finished.out)
    assert report["format"] == "sae-release.report/3"
    assert report["measurements"]["saes"]


def copy_of(ran: Ran, tmp_path: Path) -> tuple[Path, list[str]]:
    """The build in another folder, so that a test may damage it."""
    build = tmp_path / "build"
    shutil.copytree(ran.build / ran.project.path.stem, build / ran.project.path.stem)
    return build, ["--build", str(build), "--base-model", ran.project.checkpoint]


def manifest_with(ran: Ran, tmp_path: Path, **changes: Any) -> str:
    """The project's manifest with other top-level keys, and its data, in another folder."""
    folder = tmp_path / "project"
    shutil.copytree(ran.project.path.parent, folder)
    path = folder / ran.project.path.name
    content = yaml.safe_load(path.read_text(encoding="utf-8")) | changes
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return str(path)


def test_a_failure_is_released_only_where_the_manifest_accepts_it(
    ran: Ran, tmp_path, command
) -> None:
    build, options = copy_of(ran, tmp_path)
    # No explained variance is above 2, so N204 fails on every SAE.
    limits = {"min_explained_variance": 2.0}
    strict = manifest_with(ran, tmp_path / "strict", limits=limits)
    refused = command("run", strict, "--hub", "embedded", *options)
    assert (refused.code, "N204 failed" in refused.out) == (1, True), refused.err
    accept = [{"code": "N204", "since": datetime.date(2026, 1, 2), "why": "It is only a test."}]
    known = manifest_with(ran, tmp_path / "known", limits=limits, accept=accept)
    released = command("run", known, "--hub", "embedded", *options)
    assert released.code == 0, released.err
    shown = " ".join(released.out.split())
    assert "N204 accepted" in shown and "failed as accepted" in shown
    assert "accepted since 2026-01-02: It is only a test." in shown
    card = (build / ran.project.path.stem / "repository" / "README.md").read_text(encoding="utf-8")
    assert "**Check N204 fails, and this is accepted** since 2026-01-02" in card


def test_a_claim_that_does_not_hold_stops_the_release_and_the_card(
    ran: Ran, tmp_path, command
) -> None:
    build, options = copy_of(ran, tmp_path)
    claims = [{"text": "All is exact.", "holds_if": "worst(explained_variance) == 1"}]
    manifest = manifest_with(ran, tmp_path, claims=claims)
    refused = command("run", manifest, "--hub", "embedded", *options)
    assert (refused.code, "M201 failed: All is exact." in refused.out) == (1, True), refused.err
    rendered = command("render", manifest, "--build", str(build))
    assert (rendered.code, "'All is exact.'" in rendered.err) == (1, True)
    assert not list((build / "hub").rglob("*.safetensors"))


def test_a_truncated_weights_file_is_named_and_not_pushed(ran: Ran, tmp_path, command) -> None:
    build, options = copy_of(ran, tmp_path)
    weights = sorted((build / ran.project.path.stem).rglob("sae_weights.safetensors"))[0]
    content = weights.read_bytes()
    weights.write_bytes(content[:-100])
    validated = command("validate", ran.manifest, *options)
    assert validated.code == 1
    assert weights.parent.name in validated.out
    pushed = command("push", ran.manifest, "--yes", "--hub", "embedded", "--build", str(build))
    assert pushed.code != 0
    assert weights.read_bytes() == content[:-100]
    assert not list((build / "hub").rglob("*.safetensors"))


def test_a_changed_byte_after_the_checks_is_refused(ran: Ran, tmp_path, command) -> None:
    build, _ = copy_of(ran, tmp_path)
    weights = sorted((build / ran.project.path.stem).rglob("sae_weights.safetensors"))[0]
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    pushed = command("push", ran.manifest, "--yes", "--hub", "embedded", "--build", str(build))
    assert pushed.code == 1
    assert f"{weights.parent.name}/sae_weights.safetensors" in pushed.err


def test_a_file_that_nobody_checked_stops_the_push(ran: Ran, tmp_path, command) -> None:
    build, _ = copy_of(ran, tmp_path)
    (build / ran.project.path.stem / "repository" / "notes.txt").write_text("x", encoding="utf-8")
    pushed = command("push", ran.manifest, "--yes", "--hub", "embedded", "--build", str(build))
    assert pushed.code == 1
    assert "notes.txt" in pushed.err


def test_an_edited_card_is_refused_and_rendering_mends_it(ran: Ran, tmp_path, command) -> None:
    build, _ = copy_of(ran, tmp_path)
    card = build / ran.project.path.stem / "repository" / "README.md"
    card.write_text(card.read_text(encoding="utf-8") + "\nBest ever.\n", encoding="utf-8")
    pushed = command("push", ran.manifest, "--yes", "--hub", "embedded", "--build", str(build))
    assert (pushed.code, "README.md is not what rendering gives" in pushed.err) == (1, True)
    assert command("render", ran.manifest, "--check", "--build", str(build)).code == 1
    assert command("render", ran.manifest, "--build", str(build)).code == 0
    assert command("render", ran.manifest, "--check", "--build", str(build)).code == 0


def test_the_published_copy_is_validated_from_another_folder(
    ran: Ran, tmp_path, monkeypatch, command
) -> None:
    monkeypatch.chdir(tmp_path)
    with EmbeddedHub(ran.build / "hub") as hub:
        finished = command("validate", "someone/tiny-saes", "--hub", hub.endpoint)
        missing = command("validate", "someone/absent", "--hub", hub.endpoint)
        further = f"release validate someone/tiny-saes --hub {hub.endpoint} --tier load"
    assert finished.code == 0, finished.out + finished.err
    assert "tier static" in finished.out
    assert further in " ".join(finished.out.split())
    assert (missing.code, missing.out) == (4, "")
    assert "someone/absent" in missing.err


def test_a_hub_that_answers_500_ends_with_4_and_says_so(ran: Ran, monkeypatch, command) -> None:
    # The client waits up to 8 s before each new try; the waiting is not under test.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with EmbeddedHub(ran.build / "hub") as hub:
        hub.inject("status", status=500, path="/api/models", times=50)
        finished = command("validate", "someone/tiny-saes", "--hub", hub.endpoint)
    assert finished.code == 4
    assert "500" in finished.err
    assert "Traceback" not in finished.err


def test_a_port_in_use_ends_with_4_and_names_it(tmp_path, command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finished = command("hub", "serve", "--root", str(tmp_path), "--port", str(port))
    assert finished.code == 4
    assert str(port) in finished.err
    assert "--port 0" in finished.err


def test_a_wrong_key_ends_with_2_and_touches_nothing(ran: Ran, tmp_path, command) -> None:
    text = ran.project.path.read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace("n_layers:", "n_layer:"), encoding="utf-8")
    finished = command("run", str(wrong), "--hub", "embedded", "--build", str(tmp_path / "b"))
    assert finished.code == 2
    assert "did you mean 'n_layers'?" in finished.err
    assert not (tmp_path / "b").exists()


def test_a_missing_base_model_says_where_it_was_looked_for(ran: Ran, tmp_path, command) -> None:
    options = ["--build", str(tmp_path / "b"), "--base-model", str(tmp_path / "no-model")]
    finished = command("retrain", ran.manifest, *options)
    assert finished.code in (2, 4)
    assert "no-model" in finished.err
    assert "Traceback" not in finished.err


@pytest.mark.parametrize("arguments", [["validate"], ["validate", "x y"], ["nonsense"], ["show"]])
def test_a_wrong_call_ends_with_2(arguments: list[str], command) -> None:
    assert command(*arguments).code == 2


def test_a_bug_keeps_its_traceback_and_ends_with_70(monkeypatch, command) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("our fault")

    monkeypatch.setattr("manifests.schema.manifest_schema", broken)
    finished = command("schema")
    assert finished.code == 70
    assert "Traceback" in finished.err
    assert "ZeroDivisionError: our fault" in finished.err


def test_an_interrupted_command_ends_with_130(monkeypatch, command) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("manifests.schema.manifest_schema", interrupted)
    finished = command("schema")
    assert finished.code == 130
    assert "run the same command again" in finished.err


def test_explain_prints_a_page_and_knows_the_nearest_code(command) -> None:
    known = command("explain", "N205")
    assert known.code == 0
    assert "N205" in known.out
    assert command("explain", "Z999").code == 2
