"""The project's workflows, really run: by act on this machine, against an embedded Hub.

A temporary repository holds a copy of this working tree with one tiny manifest in place of the
study's. Actions that need a service or a download are replaced by the stand-ins beside this file;
everything else is what the workflows say, down to building and installing the tool. Its
dependencies come from the environment that runs the tests, so nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from release.embedded_hub import EmbeddedHub

ROOT = Path(__file__).resolve().parents[2]
STAND_INS = Path(__file__).resolve().parent / "stand_ins"
CODE_REPOSITORY = "lab/saes"
TOOL_REPOSITORY = "SolshineCode/sae-release"
ENVIRONMENT = "hub"
REPLACED = {
    "actions/setup-python": "setup-python",
    "actions/upload-artifact": "upload-artifact",
    "actions/download-artifact": "download-artifact",
}
TIMEOUT_S = 1500


@dataclass(frozen=True)
class Ran:
    """One run of a workflow: its exit code, each job's result, and what it told."""

    code: int
    jobs: dict[str, str]
    summary: str
    annotations: tuple[str, ...]
    log: str
    seconds: float

    def results(self, job: str) -> set[str]:
        """The results of a job and of every leg of its matrix."""
        return {found for name, found in self.jobs.items() if name.split("/")[0] == job}


@dataclass
class Rehearsal:
    """A repository with workflows, and the Hub that they talk to."""

    folder: Path
    hub: EmbeddedHub
    act: Path
    runs: list[tuple[str, Ran]] = field(default_factory=list)

    @property
    def clone(self) -> Path:
        """The repository's working tree."""
        return self.folder / "clone"

    @property
    def tool(self) -> Path:
        """Where the action of this project comes from, for a repository that uses it."""
        return self.folder / "tool"

    @property
    def artifacts(self) -> Path:
        """What the last run uploaded, a folder for each artifact."""
        return self.folder / "artifacts"

    def git(self, *arguments: str) -> str:
        """Run git in the clone and return what it printed."""
        who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
        done = subprocess.run(
            ["git", *who, *arguments],
            cwd=self.clone,
            check=True,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        return done.stdout.strip()

    def make_clone(self, manifest: dict[str, Any], data: bytes) -> str:
        """Copy the working tree with one manifest, commit it, and return the commit."""
        copy_working_tree(self.clone)
        (self.clone / "manifests" / manifest["data"]["file"]).write_bytes(data)
        self.write_manifest(manifest)
        self.git("init", "--quiet", "--initial-branch", "main", ".")
        return self.commit("The study")

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Write the one manifest."""
        text = yaml.safe_dump(manifest, sort_keys=False)
        (self.clone / "manifests" / "tiny.yaml").write_text(text, encoding="utf-8", newline="\n")

    def commit(self, message: str) -> str:
        """Commit the working tree."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def trust(self, repo_id: str, workflow: str) -> None:
        """Let a repository on the Hub trust a workflow of the code's repository."""
        self._admin(
            "trusted-publishers",
            repo_id=repo_id,
            repository=CODE_REPOSITORY,
            workflow=workflow,
            environment=ENVIRONMENT,
        )

    def run(
        self,
        title: str,
        workflow: str,
        event: str,
        payload: dict[str, Any],
        *,
        variables: dict[str, str] | None = None,
        environ: dict[str, str] | None = None,
        arguments: tuple[str, ...] = (),
    ) -> Ran:
        """Run one workflow as the event would, with variables of repository and machine.

        `arguments` are further ones of act, such as the job to run with those that it needs.
        """
        event_file = self.folder / "event.json"
        event_file.write_text(json.dumps(payload), encoding="utf-8")
        workflow_ref = f"{CODE_REPOSITORY}/.github/workflows/{workflow}@refs/heads/main"
        issuer = self._admin(
            "oidc/jobs",
            repository=CODE_REPOSITORY,
            ref="refs/heads/main",
            workflow_ref=workflow_ref,
            environment=ENVIRONMENT,
        )
        shutil.rmtree(self.artifacts, ignore_errors=True)
        environment = self.folder / "python"
        given = {
            **issuer,
            "GITHUB_WORKFLOW_REF": workflow_ref,
            "HF_ENDPOINT": self.hub.endpoint,
            "HF_HOME": str(self.folder / "hf_home"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as --no-build-isolation, whatever it says
            "PIP_NO_INDEX": "1",
            "PYTHONPATH": sysconfig.get_path("purelib"),
            "STAND_IN_ARTIFACTS": str(self.artifacts),
            "STAND_IN_ENVIRONMENT": str(environment),
            "STAND_IN_PYTHON": sys.executable,
            **(environ or {}),
        }
        command = [
            *(str(self.act), event, "--workflows", f".github/workflows/{workflow}"),
            *("--platform", "ubuntu-24.04=-self-hosted", "--eventpath", str(event_file)),
            *("--action-cache-path", str(self.folder / "act"), "--no-cache-server"),
            *("--concurrent-jobs", "1", "--pull=false", "--json"),
            *arguments,
        ]
        replaced = {name: STAND_INS / stand_in for name, stand_in in REPLACED.items()}
        for name, place in {**replaced, TOOL_REPOSITORY: self.tool}.items():
            for pin in pins(self.clone / ".github" / "workflows", name):
                command += ["--local-repository", f"{name}@{pin}={place}"]
        for name, value in (variables or {}).items():
            command += ["--var", f"{name}={value}"]
        for name, value in given.items():
            command += ["--env", f"{name}={value}"]
        started = time.monotonic()
        done = subprocess.run(
            command,
            cwd=self.clone,
            env={
                **_plain_environment(first_on_path=environment / "bin"),
                "XDG_CACHE_HOME": str(self.folder / "cache"),
            },
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
        ran = _read(done.returncode, done.stdout + done.stderr, time.monotonic() - started)
        (self.folder / f"{title.replace(' ', '-')}.log").write_text(ran.log, encoding="utf-8")
        self.runs.append((title, ran))
        return ran

    def pull_request(self, title: str, base: str) -> Ran:
        """Run the gate on what is committed, as a pull request against a commit."""
        payload = {"pull_request": {"number": 1, "base": {"sha": base, "ref": "main"}}}
        return self.run(title, "gate.yml", "pull_request", payload)

    def figures(self) -> str:
        """A table of all runs so far."""
        lines = ["| run | exit code | jobs | seconds |", "|---|---:|---|---:|"]
        for title, ran in self.runs:
            results = sorted(ran.jobs.values())
            counted = ", ".join(f"{results.count(r)} {r}" for r in sorted(set(results)))
            lines.append(f"| {title} | {ran.code} | {counted} | {ran.seconds:.0f} |")
        return "\n".join(lines)

    def _admin(self, path: str, **content: str) -> dict[str, str]:
        request = urllib.request.Request(
            f"{self.hub.endpoint}/embedded-hub/{path}",
            json.dumps(content).encode(),
            {"Authorization": f"Bearer {self.hub.token}"},
        )
        with urllib.request.urlopen(request) as answer:
            found: dict[str, str] = json.load(answer)
        return found


def installed(program: str) -> Path | None:
    """A program of the environment that runs the tests, else of the PATH; None where there is none.

    The linters and act come as wheels, whose programs lie beside the interpreter.
    """
    beside = shutil.which(program, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(program)
    return Path(found) if found else None


def copy_working_tree(place: Path, *, with_study: bool = False) -> None:
    """Copy what git would commit of this project, less the study's own manifests and data."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.decode("utf-8")
    for name in listed.split("\0"):
        source = ROOT / name
        is_studys = name.startswith("manifests/") and name.endswith((".yaml", ".jsonl"))
        if name and source.is_file() and (with_study or not is_studys):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place / name)


def pins(workflows: Path, action: str) -> set[str]:
    """The commits at which an action is used, in workflows and in the project's own action."""
    found = set()
    for path in [*workflows.glob("*.yml"), ROOT / "action.yml"]:
        for line in path.read_text(encoding="utf-8").splitlines():
            _, marker, pin = line.partition(f"uses: {action}@")
            if marker:
                found.add(pin.split()[0])
    return found


def _plain_environment(*, first_on_path: Path) -> dict[str, str]:
    """This process's environment without tokens and settings of a Hub or of pytest."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "HUGGING_FACE_", "PYTEST_", "GITHUB_", "ACTIONS_"))
    } | {
        "PATH": os.pathsep.join(
            [str(first_on_path), str(Path(sys.executable).parent), os.environ["PATH"]]
        )
    }


def _read(code: int, output: str, seconds: float) -> Ran:
    """Take apart what `act --json` printed."""
    jobs: dict[str, str] = {}
    summary, annotations, log = [], [], []
    for line in output.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            log.append(line)
            continue
        job, text = str(entry.get("job", "")), str(entry.get("msg", "")).rstrip("\n")
        log.append(f"{job}: {text}")
        if "jobResult" in entry:
            jobs[f"{entry.get('jobID')}/{job}"] = str(entry["jobResult"])
        if entry.get("command") == "summary":
            summary.append(str(entry.get("content", text)))
        if entry.get("command") in ("error", "warning", "notice"):
            annotations.append(text)
    return Ran(code, jobs, "\n".join(summary), tuple(annotations), "\n".join(log), seconds)
