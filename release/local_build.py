"""The build of a TARGET on this machine, fetched from the Hub where there is none."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from manifests.build_folder import BuildFolder
from manifests.errors import UsageError
from manifests.load import LoadedManifest, load_manifest
from manifests.progress import Progress
from release.hub_connection import connect
from release.targets import FolderTarget, HubTarget, ManifestTarget, parse_target
from release.validation import manifest_for, refuse_large_download
from validators.reading.hub_repository import HubRepository
from validators.reading.repository import HubUnavailable


@dataclass(frozen=True)
class LocalBuild:
    """A manifest, and where its SAEs lie on this machine."""

    loaded: LoadedManifest
    build: BuildFolder


def local_build(
    text: str,
    *,
    manifests: Path,
    build_root: Path,
    hub: str | None,
    is_large_wanted: bool,
    progress: Progress,
) -> LocalBuild:
    """The build that a TARGET means; the Hub's repository is fetched where there is none.

    Args:
        text: a manifest, or `owner/name[@revision]` of one of `manifests`.
        manifests: the folder in which the manifest of a repository is looked for.
        build_root: where builds lie; a revision that is named has a folder of its own there.
        hub: as `connect` takes it.
        is_large_wanted: whether more than 2 GB may be downloaded.
        progress: told how far it is.

    Raises:
        UsageError: it is a folder, no manifest names the repository, or the download is large.
        HubUnavailable: the Hub does not answer, or has no such repository.
    """
    target = parse_target(text, manifests=manifests)
    if isinstance(target, FolderTarget):
        raise UsageError(
            "a folder does not say which data its SAEs are to be measured on",
            where=text,
            expected="a manifest, or owner/name of a repository that a manifest describes",
            next_step="release import writes a manifest",
        )
    if isinstance(target, ManifestTarget):
        loaded = load_manifest(target.path)
        target = HubTarget(loaded.manifest.repo_id, None)
    else:
        found = manifest_for(target.repo_id, manifests, progress)
        if found is None:
            raise UsageError(
                f"no manifest in {manifests} describes it",
                where=target.repo_id,
                expected="the manifest, beside which the data lies",
                next_step=f"release import {target.repo_id}",
            )
        loaded = found
    name = loaded.name if target.revision is None else f"{loaded.name}@{target.revision[:40]}"
    build = BuildFolder(build_root / name.replace("/", "-"))
    if not build.repository.is_dir():
        progress.note(f"no build in {build.root}: fetching {target.repo_id} from the Hub")
        try:
            with connect(hub, build=build_root) as connection:
                repository = HubRepository(
                    target.repo_id,
                    revision=target.revision,
                    endpoint=connection.endpoint,
                    token=connection.token or False,
                )
                if not is_large_wanted:
                    refuse_large_download(repository, only=(), every_file=True)
                _fetch(repository, build, progress)
        except HubUnavailable as error:
            raise HubUnavailable(
                f"has no SAEs on this machine, and the Hub gives none: {error.what}",
                where=str(loaded.path),
                expected="a local build, or a repository that can be fetched",
                next_step=f"release retrain {loaded.path} makes the SAEs here",
            ) from error
    return LocalBuild(loaded, build)


def _fetch(repository: HubRepository, build: BuildFolder, progress: Progress) -> None:
    """Copy all files of a commit into a build; the folder has its name once all are there."""
    started = build.root / "repository.fetching"
    with progress.task(f"fetching {repository.name}", total=len(repository.files)) as task:
        for path in repository.files:
            place = started.joinpath(*PurePosixPath(path).parts)
            if not place.resolve().is_relative_to(started.resolve()):
                raise UsageError(f"names the file {path!r}", where=repository.location)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repository.fetch(path), place)
            task.advance()
    started.replace(build.repository)
