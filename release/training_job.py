"""Training as a job at Hugging Face: shown first, started only when asked to."""

from __future__ import annotations

from pathlib import Path

from manifests.errors import UsageError
from manifests.load import LoadedManifest
from release.console import say, show
from release.hub_connection import connect, hub_errors_explained


def show_or_submit(
    loaded: LoadedManifest,
    *,
    tool: str | None,
    timeout: str | None,
    submit: bool,
    command: str,
    build: Path,
) -> None:
    """Print what would be sent; with `submit`, send it and say where the job is.

    Args:
        loaded: the manifest.
        tool: the requirement of this tool that the job installs; None: the installed version.
        timeout: after which the job ends; None: the default.
        submit: whether to start it.
        command: what the user called, to say how it is submitted.
        build: the build folder.

    Raises:
        PrecisionProblem: the base model runs in bf16, which the target's GPU does not compute.
        UsageError, NoFlavor, DataNotAtHand, NotSendable: see `job_request`.
        NoToken: there is none to start it with.
        HubUnavailable: the Hub did not take it.
    """
    from retrain.engines import hf_jobs
    from retrain.planning.devices import refuse_missing_bf16_of_target

    target = loaded.manifest.hardware.target
    refuse_missing_bf16_of_target(loaded.manifest.base_model.precision, target)
    request = hf_jobs.job_request(loaded, tool=tool, timeout=timeout or hf_jobs.DEFAULT_TIMEOUT)
    show(request.describe())
    if not submit:
        say(f"nothing was started; to start it: {command} --submit")
        return
    with connect(None, build=build) as connection:
        if connection.endpoint != "https://huggingface.co":
            raise UsageError(
                f"the Hub at {connection.endpoint} runs no jobs",
                where="HF_ENDPOINT",
                expected="https://huggingface.co",
                next_step="unset HF_ENDPOINT, or train with another engine",
            )
        with hub_errors_explained("starting the job", connection):
            job = hf_jobs.submit(request, token=connection.token, run=connection.api().run_uv_job)
    show(f"job {job.id} was started: {job.url}")
    say(
        f"next: when it is done, its weights are in {request.repo_id} at {request.revision}; "
        "name them under `weights` of the manifest"
    )
