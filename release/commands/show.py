"""`release show MANIFEST`: what a manifest resolves to."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from release.options import ManifestArgument


class ShowFormat(StrEnum):
    """How to print a manifest."""

    text = "text"
    json = "json"


def show(
    manifest: ManifestArgument,
    output: Annotated[
        ShowFormat, typer.Option("--format", help="json prints the resolved manifest.")
    ] = ShowFormat.text,
) -> None:
    """Print the SAEs that a manifest describes, or the manifest with every default filled in.

    Example: release show manifests/demo-smollm2-135m-instruct.yaml
    """
    import json

    from manifests.hooks import depth_percent
    from manifests.load import load_manifest
    from release.console import show as show_on_terminal
    from release.console import write_data

    loaded = load_manifest(manifest)
    if output is ShowFormat.json:
        write_data(json.dumps(loaded.manifest.resolved(), indent=2, ensure_ascii=False))
        return
    from rich.table import Table

    table = Table("id", "hook (transformers)", "depth", "d_in", "d_sae", box=None, pad_edge=False)
    for spec in loaded.saes:
        depth = depth_percent(spec.layer, loaded.manifest.base_model.n_layers)
        table.add_row(
            spec.sae_id, spec.hf_hook_name, f"{depth:.0f}%", str(spec.d_in), str(spec.d_sae)
        )
    show_on_terminal(
        table, f"{loaded.manifest.repo_id}: {len(loaded.saes)} SAEs, manifest {loaded.digest[:12]}."
    )
