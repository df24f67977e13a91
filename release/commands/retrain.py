"""`release retrain MANIFEST`: make the weights from the manifest."""

from __future__ import annotations

from typing import Annotated

import typer

from release.options import DEFAULT_BUILD, BaseModelOption, BuildOption, ManifestArgument


def retrain(
    manifest: ManifestArgument,
    build: BuildOption = DEFAULT_BUILD,
    base_model: BaseModelOption = None,
    device: Annotated[str, typer.Option(help="Where to train: cpu, cuda, cuda:1.")] = "cpu",
    only: Annotated[
        str | None, typer.Option("--only", metavar="GLOB", help="Only the SAEs whose id matches.")
    ] = None,
) -> None:
    """Capture activations and train every SAE of the manifest that is not trained yet.

    Example: release retrain manifests/demo-smollm2-135m-instruct.yaml
    """
    from manifests.build_folder import BuildFolder
    from manifests.load import load_manifest
    from release.console import TerminalProgress, show
    from retrain.stage import retrain as retrain_stage

    loaded = load_manifest(manifest)
    folder = BuildFolder(build / loaded.name)
    retrain_stage(
        loaded,
        folder,
        device=device,
        base_model=base_model,
        only=only,
        progress=TerminalProgress(),
    )
    n_there = sum(folder.sae_folder(spec.sae_id).is_dir() for spec in loaded.saes)
    show(
        f"{n_there} of {len(loaded.saes)} SAEs lie under {folder.repository}. "
        f"Next: release validate {manifest}"
    )
