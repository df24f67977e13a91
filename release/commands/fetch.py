"""`release fetch MANIFEST...`: what is staged or published, into the build folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from release.options import (
    DEFAULT_BUILD,
    DEFAULT_MANIFESTS,
    AllOption,
    BuildOption,
    HubOption,
    ManifestsArgument,
    ManifestsOption,
)

if TYPE_CHECKING:
    from manifests.build_folder import BuildFolder
    from manifests.load import LoadedManifest
    from release.hub_connection import HubConnection


def fetch(
    manifest: ManifestsArgument = None,
    everything: AllOption = False,
    hub: HubOption = None,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    build: BuildOption = DEFAULT_BUILD,
    published: Annotated[
        bool,
        typer.Option(
            "--published", help="The published release, also of a manifest with staged weights."
        ),
    ] = False,
    cards_only: Annotated[
        bool,
        typer.Option(
            "--cards-only",
            help="Only what published cards are made of: reports, records and figures.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Download more than 2 GB of weights unasked.")
    ] = False,
) -> int:
    """Bring a manifest's SAEs, report and figures from the Hub into the build folder.

    They come from where `weights` says that they are staged, else from the manifest's repository.
    Weights that others made are mended, as `release validate --fix` does. A build that is there
    already is left as it is. With --all, what the Hub does not have is told and left out.

    Example: release fetch --all --cards-only
    """
    from manifests.build_folder import BuildFolder
    from manifests.errors import UsageError
    from manifests.load import load_manifest
    from manifests.shelf import manifest_files
    from release.console import TerminalProgress, show
    from release.fetching import fetch_release, is_on_hub
    from release.hub_connection import connect

    if bool(manifest) == everything:
        raise UsageError(
            "no manifest was named" if not manifest else "--all and manifests were both given",
            expected="one or more manifests, or --all",
        )
    paths = manifest_files(manifests) if everything else tuple(manifest or ())
    with connect(hub, build=build) as connection:
        for path in paths:
            loaded = load_manifest(path)
            folder = BuildFolder(build / loaded.name)
            if folder.repository.is_dir():
                show(f"{loaded.name}: {folder.repository} is there already, and stays as it is.")
                continue
            if everything and not is_on_hub(loaded, connection, published=published or cards_only):
                show(f"{loaded.name}: the Hub shows nothing of it to this token.")
                continue
            found = fetch_release(
                loaded,
                folder,
                connection,
                published=published,
                cards_only=cards_only,
                is_large_wanted=yes,
                progress=TerminalProgress(),
            )
            adopted = "" if published or cards_only else _mended(loaded, folder, connection)
            show(
                f"{loaded.name}: {found.n_files} files, {found.size_bytes / 1e6:.1f} MB, from "
                f"{found.source.repo_id} at {found.oid[:12]}.{adopted}"
            )
    return 0


def _mended(loaded: LoadedManifest, build: BuildFolder, connection: HubConnection) -> str:
    """Mend the weights of others in the build; what was done, and what comes next."""
    from release.adopted import is_adopted
    from release.adopting import Adoption
    from release.console import TerminalProgress
    from validators.presenting.tally import counted

    if not is_adopted(loaded, build):
        return ""
    adoption = Adoption(loaded, build)
    adopted = adoption.place(adoption.published(connection), progress=TerminalProgress())
    n_mended, n_left = len(adopted.mended.mends), len(adopted.mended.left)
    return (
        f" They were made by others: {adopted.told}, {counted(n_mended, 'fault')} mended, {n_left} "
        f"left. Next: release validate {loaded.path.as_posix()}"
    )
