"""`release run MANIFEST`: the whole pipeline, from the manifest to a release that was read back."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from release.options import (
    DEFAULT_BUILD,
    BaseModelOption,
    BuildOption,
    DeviceOption,
    Engine,
    EngineOption,
    HubOption,
    ManifestArgument,
    MemoryOption,
    RayAddressOption,
)

# What the exit code of validating the Hub's copy means.
_VERDICTS = {
    0: "and the Hub's copy validates",
    1: "BUT the Hub's copy FAILS",
    3: "but some of the Hub's copy was not checked, as said above",
    4: "but the Hub's copy could not be read without a token (is it private?), as said above",
}


def run(
    manifest: ManifestArgument,
    hub: HubOption = None,
    build: BuildOption = DEFAULT_BUILD,
    base_model: BaseModelOption = None,
    device: DeviceOption = None,
    memory_gb: MemoryOption = None,
    engine: EngineOption = Engine.LOCAL,
    ray_address: RayAddressOption = None,
    public: Annotated[
        bool,
        typer.Option(
            "--public",
            help="Create the repository public: else it is private, but on the embedded Hub.",
        ),
    ] = False,
) -> int:
    """Train, validate, measure, render and push one manifest, then validate it on the Hub.

    A base model that `--base-model` names in place of the manifest's own is recorded, and such
    weights are not pushed; a local copy passes when its folder is named as the model is.

    Example: release run manifests/demo-smollm2-135m-instruct.yaml --hub embedded
    """
    from manifests.build_folder import BuildFolder
    from manifests.errors import UsageError
    from manifests.load import load_manifest
    from release.console import TerminalProgress, say, show, show_report
    from release.hub_connection import connect
    from release.pipeline import make_and_check, publish
    from release.training_options import TrainingOptions
    from validators.presenting.tally import counted

    if engine is Engine.HF_JOBS:
        raise UsageError(
            "a job trains and stages weights, and this command goes on with them at once",
            where="--engine hf-jobs",
            next_step=f"release retrain {manifest} --engine hf-jobs",
        )
    training = TrainingOptions(
        device=device,
        base_model=base_model,
        memory_gb=memory_gb,
        engine=engine,
        ray_address=ray_address,
    )
    training.refuse_contradictions()
    started = time.monotonic()
    loaded = load_manifest(manifest)
    folder = BuildFolder(build / loaded.name)
    progress = TerminalProgress()
    with connect(hub, build=build) as connection:
        report = make_and_check(loaded, folder, connection, training=training, progress=progress)
        show_report(report, next_command="the card is rendered, its code run, and it is pushed")
        released = publish(
            loaded,
            folder,
            report,
            connection,
            # Loopback is nobody else's to see; elsewhere a release starts private.
            public=public or connection.is_embedded,
            base_model=base_model,
            progress=progress,
        )
        receipt = released.receipt
        validate_line = f"release validate {receipt.repo_id}@{receipt.commit} --tier load"
        say(f"\n$ {validate_line}{' --hub embedded' if connection.is_embedded else ''}")
        exit_code = _validate_as_a_user(
            receipt.repo_id, receipt.commit, connection.endpoint, manifests=manifest.parent
        )
    verdict = _VERDICTS.get(exit_code, f"but validating the Hub's copy ended with {exit_code}")
    commits = counted(receipt.n_commits, "commit")
    show(
        f"\nReleased {receipt.repo_id}: {counted(len(loaded.saes), 'SAE')}, "
        f"{receipt.n_files} files, {commits} (head {receipt.commit[:12]}), "
        f"every sha256 read back, {verdict} "
        f"({time.monotonic() - started:.0f} s)."
    )
    if connection.is_embedded:
        show(
            "Look at it again:\n"
            f"  release validate {receipt.repo_id} --hub embedded --tier load"
            + ("" if build == DEFAULT_BUILD else f" --build {build}")
        )
    return exit_code


def _validate_as_a_user(repo_id: str, commit: str, endpoint: str, *, manifests: Path) -> int:
    """Validate the release in a process of its own, without our token or our imports.

    The manifest is named, since what a published one accepts is not believed.
    """
    command = [
        *(sys.executable, "-m", "release", "validate", f"{repo_id}@{commit}"),
        *("--hub", endpoint, "--tier", "load", "--manifests", str(manifests)),
    ]
    sys.stdout.flush()
    own_settings = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}
    environment = {k: v for k, v in os.environ.items() if k not in own_settings}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603
