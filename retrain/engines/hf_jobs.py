"""A training run as a job at Hugging Face: the request, its description, and its submission.

The job is sent the manifest and the data it names, makes the weights with the tool of a pinned
version, and uploads `build/<manifest>/repository/` to a staging branch. A manifest that names the
branch under `weights` can then be checked and published anywhere.

The files travel as the job's own local files, which huggingface_hub puts into a private bucket
that is mounted there: neither the size of a command line nor of an environment bounds them.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from manifests.digests import bytes_sha256, canonical_json
from manifests.errors import ReleaseError, UsageError
from manifests.load import LoadedManifest
from retrain.engines import hf_job_script
from retrain.engines.hf_job_files import INPUT, CarriedFile, carried_files
from retrain.engines.hf_job_machine import checked_flavor, checked_tool, default_tool, pins_here

DEFAULT_IMAGE = "ghcr.io/astral-sh/uv:python3.12-bookworm"
DEFAULT_PYTHON = "3.12"
DEFAULT_TIMEOUT = "2h"
_SCRIPT, _PLAN = "hf_job_script.py", "plan.json"
_TIMEOUT = re.compile(r"[1-9]\d*[smhd]")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class NoToken(ReleaseError):
    """A job can only be started, and can only upload its results, with a token."""

    exit_code = 4


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """Everything that is asked of Hugging Face Jobs, except the token.

    Attributes:
        name: the job's name.
        flavor: Hugging Face's name of the machine.
        image: the container.
        python: the version that the script runs under.
        timeout: after which the job is ended, such as `2h`; the most that can be billed.
        dependencies: requirements that are installed for the script, all pinned.
        environment: variables of the job, none of them secret.
        files: what is sent.
        commands: modules of the job's Python with their arguments, run one after another.
        repo_id: where the results go.
        revision: the branch there.
        n_saes: SAEs that are trained.
        namespace: who pays; None: the owner of the token.
    """

    name: str
    flavor: str
    image: str
    python: str
    timeout: str
    dependencies: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    files: tuple[CarriedFile, ...]
    commands: tuple[tuple[str, ...], ...]
    repo_id: str
    revision: str
    n_saes: int
    namespace: str | None = None

    @property
    def script(self) -> str:
        """The source of the script that the job runs; the same for every request."""
        return Path(hf_job_script.__file__).read_text("utf-8")

    def plan(self) -> bytes:
        """What the script is to do, as JSON."""
        files = [{"path": file.path, "sha256": file.sha256} for file in self.files]
        return canonical_json({"files": files, "commands": self.commands})

    def describe(self) -> str:
        """The request for a reader, who decides from it whether to submit."""
        rows = [
            ("machine", f"{self.flavor}, for at most {self.timeout}, which bounds the bill"),
            ("image", f"{self.image}, Python {self.python}"),
            ("installs", ", ".join(self.dependencies)),
            ("script", f"{_SCRIPT}, SHA-256 {bytes_sha256(self.script.encode())}"),
            *(("sends", _described(file)) for file in self.files),
            *(("runs", f"python -m {' '.join(command)}") for command in self.commands),
            ("results", f"{self.repo_id}, branch {self.revision}"),
            ("secrets", "HF_TOKEN"),
        ]
        lines = [f"job {self.name}: {self.n_saes} SAEs"]
        return "\n".join([*lines, *(f"  {label:<9} {text}" for label, text in rows)])


@dataclass(frozen=True)
class SubmittedJob:
    """A job that was accepted."""

    id: str
    url: str


def job_request(
    loaded: LoadedManifest,
    *,
    tool: str | None = None,
    revision: str | None = None,
    timeout: str = DEFAULT_TIMEOUT,
    image: str = DEFAULT_IMAGE,
    python: str = DEFAULT_PYTHON,
    namespace: str | None = None,
    pins: Sequence[str] | None = None,
) -> JobRequest:
    """The job that makes a manifest's weights; nothing is contacted.

    Args:
        loaded: the manifest; `hardware.target` says on which machine.
        tool: the pinned requirement of this tool with its extra `retrain`; None: where the
            installed one came from, which cannot be a folder.
        revision: the branch for the results; None: `retrain-` and the evidence digest's start.
        timeout: a whole number with s, m, h or d.
        image: the container, which has to bring uv.
        python: the version to run under.
        namespace: who pays; None: the owner of the token.
        pins: further requirements; None: the versions of what decides the weights here.

    Raises:
        UsageError: the tool is not pinned or only on this machine, the timeout cannot be read, or
            the branch is none.
        NoFlavor: the manifest names no machine, or one that does not fit its target.
        DataNotAtHand, DataUnreadable, NotSendable: as `carried_files`.
    """
    manifest = loaded.manifest
    if not _TIMEOUT.fullmatch(timeout):
        raise UsageError(
            f"{timeout!r} is no time limit", where="timeout", expected="such as 90m or 2h"
        )
    branch = revision or f"retrain-{loaded.evidence_digest[:12]}"
    if branch == "main" or _COMMIT.fullmatch(branch):
        raise UsageError(
            f"results cannot go to {branch}",
            where="revision",
            expected="a staging branch, since only `release push` writes to main",
        )
    repo_id = manifest.weights.repo_id if manifest.weights else manifest.repo_id
    train = ("release", "retrain", f"{INPUT}/{loaded.name}.yaml", "--build", "build")
    upload = ("huggingface_hub.cli.hf", "upload", repo_id, f"build/{loaded.name}/repository", ".")
    about = f"Retrain {loaded.name} from manifest {loaded.digest[:12]}"
    return JobRequest(
        name=f"retrain-{loaded.name}",
        flavor=checked_flavor(manifest.hardware.target),
        image=image,
        python=python,
        timeout=timeout,
        dependencies=(
            checked_tool(tool or default_tool()),
            *(pins_here() if pins is None else pins),
        ),
        environment=(("NO_COLOR", "1"), ("PYTHONUNBUFFERED", "1")),
        files=carried_files(loaded),
        commands=(
            (*train, "--device", manifest.hardware.target.device),
            (*upload, "--revision", branch, "--private", "--commit-message", about),
        ),
        repo_id=repo_id,
        revision=branch,
        n_saes=len(loaded.saes),
        namespace=namespace,
    )


def submit(request: JobRequest, *, token: str | None, run: Callable[..., Any]) -> SubmittedJob:
    """Start the job.

    Args:
        request: what `job_request` made.
        token: of an account that may start jobs and write to the repository; the job gets it as
            the secret HF_TOKEN.
        run: `HfApi.run_uv_job` of the Hub to send it to. It uploads the files and starts the job.

    Raises:
        NoToken: there is no token.
    """
    if not token:
        raise NoToken(
            "there is no token to start the job with",
            where="--engine hf-jobs",
            expected="a token that may start jobs and write to the repository",
            next_step="`hf auth login`, or set HF_TOKEN",
        )
    with TemporaryDirectory(prefix="sae-release-job-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / _SCRIPT).write_bytes(request.script.encode())
        (folder / _PLAN).write_bytes(request.plan())
        sent = [folder / _PLAN]
        for number, file in enumerate(request.files):
            if isinstance(file.source, Path):
                sent.append(file.source)
                continue
            sent.append(folder / f"{number}-{Path(file.path).name}")
            sent[-1].write_bytes(file.source)
        # huggingface_hub prints where it puts the files; standard output is for results.
        with redirect_stdout(sys.stderr), warnings.catch_warnings():
            # Said of every job; a reader of this tool's output cannot act on it.
            warnings.filterwarnings("ignore", message=".*run_uv_job.* is experimental")
            job = run(
                str(folder / _SCRIPT),
                script_args=[str(path) for path in sent],
                dependencies=list(request.dependencies),
                python=request.python,
                image=request.image,
                env=dict(request.environment),
                secrets={"HF_TOKEN": token},
                flavor=request.flavor,
                timeout=request.timeout,
                name=request.name,
                namespace=request.namespace,
                token=token,
            )
    return SubmittedJob(id=job.id, url=job.url)


def _described(file: CarriedFile) -> str:
    return f"{file.path}, {file.size_bytes:,} bytes, SHA-256 {file.sha256}"
