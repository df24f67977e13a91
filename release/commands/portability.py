"""`release portability TARGET`: one release under several precisions of its base model."""

from __future__ import annotations

from typing import Annotated

import typer

from release import completion
from release.options import (
    DEFAULT_BUILD,
    DEFAULT_MANIFESTS,
    BaseModelOption,
    BuildOption,
    HubOption,
    ManifestsOption,
    MeasuredTargetArgument,
    YesOption,
)

# As of `release validate` where something required was not checked.
EXIT_NOT_MEASURED = 3


def portability(
    target: MeasuredTargetArgument,
    build: BuildOption = DEFAULT_BUILD,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    hub: HubOption = None,
    yes: YesOption = False,
    precisions: Annotated[
        str | None,
        typer.Option(
            "--precisions",
            metavar="NAMES",
            autocompletion=completion.precisions,
            help="Comma-separated: fp32, fp16, bf16, fp8, int8, nf4, nf4-dq, fp4, fp4-dq, each "
            "with an optional compute format, such as nf4-dq:fp16. Default: the manifest's.",
        ),
    ] = None,
    base_model: BaseModelOption = None,
    device: Annotated[
        str,
        typer.Option(
            "--device",
            metavar="cpu|cuda|cuda:N",
            autocompletion=completion.devices,
            help="Where the base model is run, and with --retrain-check where SAEs are trained.",
        ),
    ] = "cpu",
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="GLOB",
            autocompletion=completion.sae_ids,
            help="Only the SAEs whose id matches; the result is shown and not written.",
        ),
    ] = None,
    retrain_check: Annotated[
        bool,
        typer.Option(
            "--retrain-check",
            help="Train the SAEs again at every precision, and test each at every one.",
        ),
    ] = False,
) -> int:
    """Measure whether the SAEs still work where the base model runs at another precision.

    Each precision is loaded once, one after another; the same held-out data goes through each. The
    verdicts follow the limits of the manifest's `portability`.

    Example: release portability manifests/demo-smollm2-135m-instruct.yaml --precisions fp32,nf4
    """
    from manifests.base_model import Precision
    from release.console import TerminalProgress, show, terminal_width
    from release.local_build import local_build
    from release.porting import portability_of_release
    from validators.base_models.named_precisions import named_precision
    from validators.portability.requirements import unmet_requirements
    from validators.presenting.portability_text import portability_text

    names = [name.strip() for name in (precisions or "").split(",") if name.strip()]
    for name in names:
        # Refused before anything is fetched for it.
        named_precision(name, trained_at=Precision(weights="fp32", compute="fp32"))
    progress = TerminalProgress()
    found = local_build(
        target,
        manifests=manifests,
        build_root=build,
        hub=hub,
        is_large_wanted=yes,
        progress=progress,
    )
    loaded = found.loaded
    report = portability_of_release(
        loaded,
        found.build,
        precisions=names,
        base_model=base_model,
        device=device,
        only=tuple(only or ()),
        retrain_check=retrain_check,
        progress=progress,
    )
    assert report.portability is not None
    show(portability_text(report.portability, width=terminal_width()))
    unmet = unmet_requirements(loaded.manifest, report.portability)
    for one in unmet:
        show(f"Not met: {one.sentence}")
    if only:
        show("Of --only these SAEs; report.json is as it was.")
    if any(one.was_measured for one in unmet):
        return 1
    return EXIT_NOT_MEASURED if unmet else 0
