"""`release measure MANIFEST`: every table of the card, computed into the report."""

from __future__ import annotations

from typing import Annotated

import typer

from release.options import DEFAULT_BUILD, BaseModelOption, BuildOption, ManifestArgument


def measure(
    manifest: ManifestArgument,
    build: BuildOption = DEFAULT_BUILD,
    base_model: BaseModelOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="GLOB",
            help="Only the SAEs whose id matches; the tables are shown and not written.",
        ),
    ] = None,
) -> None:
    """Compute probes, effect sizes, stability, steering and comparisons into report.json.

    Settings stand under `measure` in the manifest. What was computed of an SAE is kept, so that a
    further SAE costs what that one costs. Numbers that are equal in every run need no second one.

    Example: release measure manifests/demo-smollm2-135m-instruct.yaml
    """
    from manifests.build_folder import BuildFolder
    from manifests.load import load_manifest
    from release.console import TerminalProgress, show, terminal_width
    from release.measuring import measure_release
    from validators.presenting.tables_text import tables_text

    loaded = load_manifest(manifest)
    measured = measure_release(
        loaded,
        BuildFolder(build / loaded.name),
        base_model=base_model,
        only=tuple(only or ()),
        progress=TerminalProgress(),
    )
    assert measured.report.tables is not None
    show(tables_text(measured.report.tables, width=terminal_width()))
    show(
        "Of --only these SAEs; report.json is as it was."
        if only
        else f"Computed anew: {measured.n_made} of the parts; the rest was kept. "
        f"Next: release render {manifest}"
    )
