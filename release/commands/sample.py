"""`release sample MANIFEST`: make the data set of labelled completions."""

from __future__ import annotations

from typing import Annotated

import typer

from release.options import BaseModelOption, ManifestArgument


def sample(
    manifest: ManifestArgument,
    base_model: BaseModelOption = None,
    device: Annotated[str, typer.Option(help="Where to sample: cpu, cuda, cuda:1.")] = "cpu",
) -> None:
    """Sample completions of the manifest's scenarios and label them by its keyword rule.

    Writes the manifest's data.file and prints the sha256 that belongs into the manifest.

    Example: release sample manifests/demo-smollm2-135m-instruct.yaml
    """
    from manifests.load import load_manifest
    from release.console import TerminalProgress, show
    from release.text_table import TextTable
    from retrain.sampling import sample as sample_completions

    loaded = load_manifest(manifest)
    summary = sample_completions(
        loaded, progress=TerminalProgress(), base_model=base_model, device=device
    )
    table = TextTable(
        ("scenario", "deceptive", "honest", "ambiguous", "near-duplicates", "kept"),
        tuple(
            (
                counts.scenario,
                *map(str, (counts.deceptive, counts.honest, counts.ambiguous)),
                str(counts.near_duplicates),
                "yes" if counts.is_kept else "no",
            )
            for counts in summary.scenarios
        ),
    )
    n_decisive = sum(c.deceptive + c.honest for c in summary.scenarios if c.is_kept)
    next_step = (
        "The manifest names this file already."
        if summary.is_stated_in_manifest
        else f"Next: put sha256: {summary.sha256} under data in {manifest}."
    )
    show(
        table,
        f"{summary.n_rows} rows, {n_decisive} of them decisive, in {summary.path} "
        f"({summary.seconds:.0f} s). {next_step}",
    )
