"""`release retrain MANIFEST`: make the weights from the manifest."""

from __future__ import annotations

from typing import Annotated

import typer

from release.options import (
    DEFAULT_BUILD,
    BaseModelOption,
    BuildOption,
    DataOption,
    DeviceOption,
    Engine,
    EngineOption,
    ManifestArgument,
    MemoryOption,
    OnlyOption,
    RayAddressOption,
)


def retrain(
    manifest: ManifestArgument,
    build: BuildOption = DEFAULT_BUILD,
    base_model: BaseModelOption = None,
    data: DataOption = None,
    device: DeviceOption = None,
    only: OnlyOption = None,
    memory_gb: MemoryOption = None,
    engine: EngineOption = Engine.LOCAL,
    ray_address: RayAddressOption = None,
    submit: Annotated[
        bool,
        typer.Option("--submit", help="With --engine hf-jobs: really start the job, which costs."),
    ] = False,
    job_tool: Annotated[
        str | None,
        typer.Option(
            "--job-tool",
            metavar="REQUIREMENT",
            help="With --engine hf-jobs: the pinned sae-release that the job installs, such as "
            "'sae-release[retrain] @ git+https://...@COMMIT'. Default: where this one came from.",
        ),
    ] = None,
    job_timeout: Annotated[
        str | None,
        typer.Option(
            "--job-timeout",
            metavar="TIME",
            help="With --engine hf-jobs: after how long it is ended, such as 90m. Default: 2h.",
        ),
    ] = None,
) -> None:
    """Capture activations and train every SAE of the manifest that is not trained yet.

    Killed at any moment, the same command goes on where it stopped, to the same weights.

    Example: release retrain manifests/demo-smollm2-135m-instruct.yaml --only "*_L9_*"
    """
    from manifests.build_folder import BuildFolder
    from manifests.load import load_manifest
    from release.console import TerminalProgress, show
    from release.training_options import TrainingOptions, train
    from retrain.resume import former_record

    options = TrainingOptions(
        device=device,
        only=only,
        base_model=base_model,
        data=data,
        memory_gb=memory_gb,
        engine=engine,
        ray_address=ray_address,
    )
    of_a_job = {"--submit": submit, "--job-tool": job_tool, "--job-timeout": job_timeout}
    options.refuse_contradictions([name for name, value in of_a_job.items() if value])
    loaded = load_manifest(manifest)
    if engine is Engine.HF_JOBS:
        from release.training_job import show_or_submit

        command = f"release retrain {manifest} --engine hf-jobs"
        show_or_submit(
            loaded,
            tool=job_tool,
            timeout=job_timeout,
            submit=submit,
            command=command + "".join(f" {n} {v!r}" for n, v in of_a_job.items() if v),
            build=build,
        )
        return
    folder = BuildFolder(build / loaded.name)
    train(loaded, folder, options, progress=TerminalProgress())
    record = former_record(folder)
    trained = record.saes if record is not None else {}
    n_older = sum(
        spec.sae_id not in trained and folder.sae_folder(spec.sae_id).is_dir()
        for spec in loaded.saes
    )
    older = f", {n_older} of an older state are there as well" if n_older else ""
    show(
        f"{len(trained)} of {len(loaded.saes)} SAEs lie under {folder.repository}{older}. "
        + (
            f"Next: release validate {manifest}"
            if len(trained) == len(loaded.saes)
            else "Next: the same command without --only trains the others"
        )
    )
