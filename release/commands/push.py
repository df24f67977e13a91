"""`release push MANIFEST`: one commit, read back."""

from __future__ import annotations

from typing import Annotated

import typer

from release.options import DEFAULT_BUILD, BuildOption, HubOption, ManifestArgument, YesOption


def push(
    manifest: ManifestArgument,
    hub: HubOption = None,
    build: BuildOption = DEFAULT_BUILD,
    yes: YesOption = False,
    public: Annotated[
        bool,
        typer.Option("--public", help="Create the repository public (private otherwise)."),
    ] = False,
) -> None:
    """Publish what the build folder holds, if its report and card allow it.

    Example: release push manifests/demo-smollm2-135m-instruct.yaml --hub embedded
    """
    from manifests.build_folder import BuildFolder
    from manifests.load import load_manifest
    from release.console import TerminalProgress, show
    from release.hub_connection import connect
    from release.push import push as push_release

    loaded = load_manifest(manifest)
    folder = BuildFolder(build / loaded.name)
    with connect(hub, build=build) as connection:
        if not yes:
            where = f"{loaded.manifest.repo_id} on {connection.endpoint}"
            typer.confirm(f"Push {len(loaded.saes)} SAEs to {where}?", abort=True, err=True)
        receipt = push_release(
            loaded, folder, connection, public=public, progress=TerminalProgress()
        )
    show(
        f"{receipt.repo_id} is at {receipt.commit}: {receipt.sent_files} files sent, "
        f"{receipt.n_files} read back and compared."
    )
