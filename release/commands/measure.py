"""`release measure TARGET`: every table of the card, computed into the report."""

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


def measure(
    target: MeasuredTargetArgument,
    build: BuildOption = DEFAULT_BUILD,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    hub: HubOption = None,
    yes: YesOption = False,
    base_model: BaseModelOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="GLOB",
            autocompletion=completion.sae_ids,
            help="Only the SAEs whose id matches; the tables are shown and not written.",
        ),
    ] = None,
) -> None:
    """Compute probes, effect sizes, stability, steering and comparisons into report.json.

    Settings stand under `measure` in the manifest. What was computed of an SAE is kept, so that a
    further SAE costs what that one costs; every run gives the same numbers.

    Example: release measure manifests/demo-smollm2-135m-instruct.yaml
    """
    from release.console import TerminalProgress, show, terminal_width
    from release.local_build import local_build
    from release.measuring import measure_release
    from validators.presenting.tables_text import tables_text

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
    measured = measure_release(
        loaded,
        found.build,
        base_model=base_model,
        only=tuple(only or ()),
        progress=progress,
    )
    assert measured.report.tables is not None
    show(tables_text(measured.report.tables, width=terminal_width()))
    show(
        "Of --only these SAEs; report.json is as it was."
        if only
        else f"Computed anew: {measured.n_made} of the parts; the rest was kept. "
        f"Next: release render {loaded.path}"
    )
