"""`release registry TARGET...`: the entries for SAELens' registry and Neuronpedia."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from release import completion
from release.options import (
    DEFAULT_BUILD,
    DEFAULT_MANIFESTS,
    BuildOption,
    HubOption,
    ManifestsOption,
)


def registry(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET",
            autocompletion=completion.targets,
            help="Manifests, or owner/name[@revision]. Of a manifest the local build is taken "
            "where there is one, else its repository on the Hub.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it there, not to stdout.")
    ] = None,
    neuronpedia_model: Annotated[
        str | None,
        typer.Option(
            "--neuronpedia-model",
            metavar="ID",
            help="Neuronpedia's id of the base model. Default: its name on the Hub in lower case.",
        ),
    ] = None,
    hub: HubOption = None,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    build: BuildOption = DEFAULT_BUILD,
) -> None:
    """Print the entry for SAELens' pretrained_saes.yaml, with Neuronpedia ids.

    L0 and explained variance are those that were measured on the published bytes; where there are
    none, a comment says so.

    Example: release registry Solshine/deception-saes-tinyllama-1-1b
    """
    from manifests.errors import UsageError
    from release.console import TerminalProgress, say, write_data, write_file
    from release.hub_connection import connect
    from release.registry_sources import entry_of
    from release.saelens_registry import registry_yaml
    from release.targets import parse_target

    if neuronpedia_model is not None and len(targets) > 1:
        raise UsageError(
            f"--neuronpedia-model was given with {len(targets)} targets",
            expected="one target, whose base model it is",
            next_step="run the command for each repository",
        )
    parsed = [parse_target(target, manifests=manifests) for target in targets]
    with connect(hub, build=build) as connection:
        entries = tuple(
            entry_of(
                target,
                connection,
                manifests=manifests,
                build_root=build,
                neuronpedia_model=neuronpedia_model,
                progress=TerminalProgress(),
            )
            for target in parsed
        )
    names = [entry.release for entry in entries]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(
            f"the registry has one entry of a name, and {', '.join(twice)} stands twice",
            expected="repositories whose names differ",
            next_step="run the command for each, and name one of the entries otherwise",
        )
    text = registry_yaml(entries)
    if out is None:
        write_data(text)
    else:
        write_file(out, text)
    n_saes = sum(len(entry.saes) for entry in entries)
    n_incomplete = sum(entry.n_incomplete for entry in entries)
    say(
        f"{n_saes} SAEs, "
        + (
            f"{n_incomplete} of them without a measured number; the comments say why."
            if n_incomplete
            else "each with measured L0 and explained variance."
        )
    )
