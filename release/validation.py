"""From a TARGET to a report: finds the files, the manifest they claim to follow, and the tier."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import cast, get_args

from manifests.build_folder import SAE_WEIGHTS, BuildFolder
from manifests.errors import ReleaseError, UsageError
from manifests.load import LoadedManifest, load_manifest
from manifests.nearest import did_you_mean
from manifests.progress import Progress
from manifests.shelf import manifest_files
from release.adopted import required_tiers
from release.hub_connection import HubConnection
from release.targets import FolderTarget, HubTarget, ManifestTarget, Target
from validators.options import ValidateOptions
from validators.reading.hub_repository import HubRepository
from validators.reading.local_repository import LocalRepository
from validators.reading.repository import Repository
from validators.report import Report, Tier
from validators.stage import validate, validate_build

FREE_DOWNLOAD_BYTES = 2_000_000_000
_WEIGHTS = (".bin", ".ckpt", ".npz", ".pt", ".pth", ".safetensors")


@dataclass(frozen=True)
class Found:
    """What a TARGET turned out to be.

    Attributes:
        repository: the files.
        loaded: the manifest on this machine that they are held against; None without one.
        build: the build folder that the report belongs in; None where it belongs nowhere.
        default_tier: how far to look when nothing else is said.
        name: what a folder made from it is called.
    """

    repository: Repository
    loaded: LoadedManifest | None
    build: BuildFolder | None
    default_tier: Tier
    name: str


def asked_tier(
    tier: str | None,
    *,
    base_model: str | None = None,
    text: Path | None = None,
    activations: Path | None = None,
) -> Tier | None:
    """The tier that was asked for, in so many words or by an option that only one tier uses.

    None where nothing asks for one, and what was found decides.

    Raises:
        UsageError: there is no such tier, it does not use an option that was given, two options
            contradict each other, or a file is not there.
    """
    if text is not None and activations is not None:
        raise UsageError(
            "--text and --activations were both given",
            expected="one source of activations",
            next_step="leave one of them out",
        )
    for option, path in (("--text", text), ("--activations", activations)):
        if path is not None and not path.exists():
            raise UsageError(f"{option}: there is no file {str(path)!r}", expected="a file")
    if tier is not None and tier not in get_args(Tier):
        raise UsageError(
            f"there is no tier {tier!r}",
            expected=" or ".join(get_args(Tier)),
            next_step=did_you_mean(tier, get_args(Tier)),
        )
    given = {"--base-model": base_model, "--text": text, "--activations": activations}
    needing = [option for option, value in given.items() if value is not None]
    if needing and tier not in (None, "activations"):
        raise UsageError(
            f"{needing[0]} is used by the tier activations only, and --tier {tier} was given",
            expected=f"--tier activations, which {needing[0]} implies",
            next_step=f"leave out --tier, or {needing[0]}",
        )
    return "activations" if needing else cast("Tier | None", tier)


def find(
    target: Target,
    connection: HubConnection,
    *,
    manifests: Path,
    build_root: Path,
    progress: Progress,
) -> Found:
    """Find what TARGET names.

    A manifest means its local build when there is one, else its repository on the Hub. An adopted
    build without data is looked at up to loading, since there is nothing to measure on. A Hub
    repository is held against the manifest in `manifests` that names it, when there is one.

    Raises:
        HubUnavailable: the Hub does not answer, or has no such repository.
        ReleaseError: the manifest cannot be read.
    """
    if isinstance(target, FolderTarget):
        name = target.path.resolve().name or "repository"
        return Found(LocalRepository(target.path), None, None, "load", name)
    loaded = load_manifest(target.path) if isinstance(target, ManifestTarget) else None
    if loaded is not None:
        build = BuildFolder(build_root / loaded.name)
        if build.repository.is_dir():
            repository = LocalRepository(build.repository)
            return Found(repository, loaded, build, required_tiers(loaded, build)[-1], loaded.name)
        target = HubTarget(loaded.manifest.repo_id, None)
    assert isinstance(target, HubTarget)
    return Found(
        HubRepository(
            target.repo_id,
            revision=target.revision,
            endpoint=connection.endpoint,
            token=connection.token or False,
        ),
        loaded or manifest_for(target.repo_id, manifests, progress),
        None,
        "activations" if loaded is not None else "static",
        loaded.name if loaded is not None else target.repo_id.rpartition("/")[2],
    )


def check(found: Found, *, tier: Tier, options: ValidateOptions, progress: Progress) -> Report:
    """Check what was found; the report of a whole local build is written into it."""
    if found.build is not None:
        assert found.loaded is not None
        return validate_build(
            found.loaded, found.build, tier=tier, options=options, progress=progress
        )
    return validate(
        found.repository, manifest=found.loaded, tier=tier, options=options, progress=progress
    )


def refuse_large_download(
    repository: Repository, *, only: tuple[str, ...], every_file: bool = False
) -> None:
    """Make sure that no large download begins unasked.

    Args:
        repository: where the weights are; a local folder needs no download.
        only: the SAEs that are looked at, as globs; empty: all.
        every_file: count weights of other formats and in other folders too.

    Raises:
        UsageError: more than 2 GB of weights would be downloaded.
    """
    if not isinstance(repository, HubRepository):
        return
    size_bytes = sum(
        size
        for path, size in repository.files.items()
        if (path.lower().endswith(_WEIGHTS) if every_file else _is_weights(path, only))
    )
    if size_bytes > FREE_DOWNLOAD_BYTES:
        raise UsageError(
            f"this would download {size_bytes / 1e9:.1f} GB of weights",
            where=repository.name,
            expected=f"at most {FREE_DOWNLOAD_BYTES / 1e9:g} GB, or --yes",
            next_step="add --yes; or choose SAEs with --only GLOB, or look at headers alone "
            "with --tier static",
        )


def _is_weights(path: str, only: tuple[str, ...]) -> bool:
    folder, _, name = path.rpartition("/")
    wanted = not only or any(fnmatchcase(folder or ".", glob) for glob in only)
    return name == SAE_WEIGHTS and wanted


def manifest_for(repo_id: str, manifests: Path, progress: Progress) -> LoadedManifest | None:
    """The manifest in a folder that describes a repository; an unreadable one is passed over."""
    try:
        paths = manifest_files(manifests) if manifests.is_dir() else ()
    except UsageError:
        # A folder without manifests describes nothing.
        paths = ()
    for path in paths:
        try:
            loaded = load_manifest(path)
        except ReleaseError as error:
            progress.note(f"{path} was passed over, since it cannot be read: {error.what}")
            continue
        if loaded.manifest.repo_id == repo_id:
            return loaded
    return None
