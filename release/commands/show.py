"""`release show MANIFEST`: what a manifest resolves to, and where each value was written."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from release.options import DEFAULT_MANIFESTS, ManifestsArgument, ManifestsOption


class ShowFormat(StrEnum):
    """How to print a manifest."""

    text = "text"
    json = "json"


def show(
    manifest: ManifestsArgument = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every manifest of --manifests, one line each.")
    ] = False,
    saes: Annotated[
        bool, typer.Option("--saes", help="List the SAEs instead of the values.")
    ] = False,
    output: Annotated[
        ShowFormat, typer.Option("--format", help="json prints the resolved manifest.")
    ] = ShowFormat.text,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
) -> None:
    """Print the resolved manifest: every value, and the file and line it comes from.

    Example: release show manifests/tinyllama-1-1b.yaml --saes
    """
    import json

    from manifests.collection import is_collection, load_collection
    from manifests.errors import UsageError
    from manifests.load import load_manifest
    from manifests.shelf import collection_files, manifest_files
    from release.console import show as print_result
    from release.console import write_data
    from release.manifest_tables import (
        collection_sentence,
        members_table,
        overview_table,
        saes_table,
        summary_sentence,
        value_lines,
    )

    if bool(manifest) == everything:
        raise UsageError(
            "no manifest was named" if not manifest else "--all and manifests were both given",
            expected="one or more manifests, or --all",
            next_step="release show --all",
        )
    paths = manifest_files(manifests) if everything else tuple(manifest or ())
    collections = [load_collection(path) for path in paths if is_collection(path)]
    if everything:
        collections = [load_collection(path) for path in collection_files(manifests)]
    loaded = [load_manifest(path) for path in paths if not is_collection(path)]
    if output is ShowFormat.json:
        resolved = [one.manifest.model_dump(mode="json") for one in loaded]
        resolved += [one.collection.model_dump(mode="json") for one in collections]
        shown = resolved[0] if len(resolved) == 1 and not everything else resolved
        write_data(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    if everything:
        n_saes = sum(len(one.saes) for one in loaded)
        print_result(overview_table(loaded), f"{len(loaded)} manifests, {n_saes} SAEs.")
    for one in () if everything else loaded:
        if saes:
            print_result(saes_table(one))
        else:
            write_data(value_lines(one))
        print_result(summary_sentence(one))
    for collection in collections:
        print_result(members_table(collection), collection_sentence(collection))
