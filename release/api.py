"""The same checks and measurements from Python, for notebooks.

    from release.api import validate, measure

    result = validate("owner/name", tier="load")
    result.passed, result.findings, result.rows()

What is named in `__all__` keeps its names and meanings from one minor version to the next; the rest
of the packages may change. A result is typed, shows as a table in a notebook and as the command
line's text when it is printed. Errors are `ReleaseError`: what was found, where, what was expected,
and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.errors import ReleaseError
from manifests.progress import Silent
from release.results import Measured, Validation

if TYPE_CHECKING:
    from manifests.progress import Progress
    from validators.report import Tier

__all__ = ["Measured", "ReleaseError", "Validation", "measure", "read_report", "validate"]

_MANIFESTS, _BUILD = Path("manifests"), Path("build")


def validate(
    target: str | PathLike[str],
    *,
    tier: Tier | None = None,
    only: str | Sequence[str] = (),
    select: str | Sequence[str] = (),
    ignore: str | Sequence[str] = (),
    strict: bool = False,
    base_model: str | None = None,
    text: str | PathLike[str] | None = None,
    activations: str | PathLike[str] | None = None,
    large_downloads: bool = False,
    hub: str | None = None,
    manifests: str | PathLike[str] = _MANIFESTS,
    build: str | PathLike[str] = _BUILD,
    show_progress: bool = False,
) -> Validation:
    """Check an SAE repository, as `release validate` does.

    Args:
        target: `owner/name[@revision]`, a folder, or a manifest (.yaml). A `Path` is always a
            folder or a manifest.
        tier: `static` (names, configs, headers), `load` (weights too) or `activations` (what each
            SAE does to its base model). None: static for `owner/name`, load for a folder,
            activations for a manifest, and with `text`, `activations` or `base_model`.
        only: check these SAEs only; globs over ids.
        select: report these checks only: `W`, `W1` or `W103`.
        ignore: leave these checks out.
        strict: a warning is a failure.
        base_model: a folder or Hub id in place of the base model that configs or manifest name.
        text: a text file to read activations on.
        activations: a file of saved activations, in place of running the base model.
        large_downloads: allow more than 2 GB of weights to be downloaded.
        hub: a Hub's URL, or `embedded`; None: huggingface_hub's own default.
        manifests: the folder in which a repository's manifest is looked for.
        build: the folder of builds. A manifest's own build gets its `report.json` written.
        show_progress: tell on standard error how far it is.

    Raises:
        ReleaseError: the target, an option or the Hub is not as it has to be. That a check fails
            is no error: see `Validation.passed`.
    """
    from release.hub_connection import connect
    from release.served_copy import HubServing
    from release.targets import parse_target
    from release.validation import asked_tier, check, find, refuse_large_download
    from validators.options import ValidateOptions
    from validators.registry import all_checks
    from validators.selection import parse_selection

    text_file = None if text is None else Path(text)
    vectors_file = None if activations is None else Path(activations)
    asked = asked_tier(tier, base_model=base_model, text=text_file, activations=vectors_file)
    chosen = _several(only)
    selection = parse_selection(_several(select), _several(ignore), checks=all_checks())
    name, progress = fspath(target), _progress(show_progress)
    parsed = parse_target(_as_typed(target), manifests=Path(manifests))
    with connect(hub, build=Path(build)) as connection:
        found = find(
            parsed,
            connection,
            manifests=Path(manifests),
            build_root=Path(build),
            progress=progress,
        )
        reached = asked or found.default_tier
        if not large_downloads and reached != "static":
            refuse_large_download(found.repository, only=chosen)
        report = check(
            found,
            tier=reached,
            options=ValidateOptions(
                base_model=base_model,
                text=text_file,
                activations=vectors_file,
                only=chosen,
                selection=selection,
                strict=strict,
                endpoint=connection.endpoint,
                token=connection.token,
                hub=HubServing(connection),
            ),
            progress=progress,
        )
    return Validation(name, report)


def measure(
    target: str | PathLike[str],
    *,
    only: str | Sequence[str] = (),
    base_model: str | None = None,
    large_downloads: bool = False,
    hub: str | None = None,
    manifests: str | PathLike[str] = _MANIFESTS,
    build: str | PathLike[str] = _BUILD,
    show_progress: bool = False,
) -> Measured:
    """Compute the tables of a release's card into its `report.json`, as `release measure` does.

    Args:
        target: a manifest, or `owner/name[@revision]` of a repository that a manifest describes.
        only: these SAEs only; the tables are returned and `report.json` is left as it is.
        base_model: a folder or Hub id in place of the manifest's base model.
        large_downloads: allow more than 2 GB of weights to be downloaded.
        hub: a Hub's URL, or `embedded`; None: huggingface_hub's own default.
        manifests: the folder in which a repository's manifest is looked for.
        build: the folder of builds.
        show_progress: tell on standard error how far it is.

    Raises:
        ReleaseError: there are no SAEs, no labels, or something else that the tables rest on.
    """
    from release.local_build import local_build
    from release.measuring import measure_release

    name, progress = fspath(target), _progress(show_progress)
    found = local_build(
        _as_typed(target),
        manifests=Path(manifests),
        build_root=Path(build),
        hub=hub,
        is_large_wanted=large_downloads,
        progress=progress,
    )
    made = measure_release(
        found.loaded, found.build, base_model=base_model, only=_several(only), progress=progress
    )
    return Measured(name, made.report, made.n_made)


def read_report(path: str | PathLike[str]) -> Validation:
    """Read a saved `report.json`, such as the one that a release publishes.

    Raises:
        ReleaseError: it is not there, or no report that this version reads.
    """
    from validators.report import read_report as read

    return Validation(fspath(path), read(Path(path)))


def _several(words: str | Sequence[str]) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else tuple(words)


def _as_typed(target: str | PathLike[str]) -> str:
    """The target as the command line would be given it; a `Path` drops the `./` of its name."""
    if isinstance(target, str) or Path(target).is_absolute():
        return fspath(target)
    return f"./{Path(target).as_posix()}"


def _progress(is_shown: bool) -> Progress:
    if not is_shown:
        return Silent()
    from release.console import TerminalProgress

    return TerminalProgress()
