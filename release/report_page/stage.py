"""`release report`, from its arguments to the folder of pages."""

from __future__ import annotations

import contextlib
import datetime
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from manifests.errors import ReleaseError, UsageError
from manifests.nearest import nearest_file
from manifests.progress import Progress
from manifests.shelf import SUFFIXES, manifest_files
from release.console import say, show, show_error
from release.hub_connection import HubConnection, connect, without_client_bars
from release.report_page.hub_state import HubState, hub_state, not_asked
from release.report_page.notice import Notice, notice_of
from release.report_page.page import RepositoryPage, repository_page
from release.report_page.site import Site, file_names, refuse_unusable, site_files, write_site
from release.report_page.sources import (
    PageSource,
    source_of_folder,
    source_of_hub,
    source_of_manifest,
    source_of_report,
    with_published_report,
)
from release.targets import FolderTarget, HubTarget, ManifestTarget, parse_target
from validators.presenting.tally import counted
from validators.reading.repository import HubUnavailable

_OFFLINE = "the page was made with --offline"
_SAVED = ".json"
# As of `release.cli`, which imports the commands.
_EXIT_BUG = 70
_NO_MANIFEST = "no manifest on this machine says what the Hub should hold"


@dataclass(frozen=True)
class PageOptions:
    """The options of `release report`; `every`: all manifests of the folder `manifests`."""

    out: Path
    every: bool
    title: str
    offline: bool
    hub: str | None
    manifests: Path
    build_root: Path


@dataclass(frozen=True)
class _Found:
    """One page, and the short name that its file is called after."""

    name: str
    page: RepositoryPage


def write_pages(targets: tuple[str, ...], options: PageOptions, *, progress: Progress) -> int:
    """Write the pages of all targets; one that cannot be read keeps no other from its page.

    Returns:
        0, or the highest exit code of the targets that could not be read, on the Hub or here.

    Raises:
        UsageError: no target is named, or `--all` beside some; `owner/name` with --offline.
        UnusableFolder: the folder holds files of others, or cannot be written.
        PortInUse, HubRootInUse: the embedded Hub cannot be started.
    """
    names = _chosen(targets, options)
    refuse_unusable(options.out)
    found: list[_Found] = []
    notices, codes = [], [0]
    with (
        _connection(options) as connection,
        tempfile.TemporaryDirectory(prefix="sae-release-", ignore_cleanup_errors=True) as cache,
        progress.task("read the repositories", total=len(names)) as task,
    ):
        for name in names:
            try:
                source, state = _read(name, options, connection, Path(cache))
                # The page's file gets its name when all names are known.
                found.append(_Found(source.name, repository_page(source, state, "")))
                if source.hub is not None and state.word == "no answer":
                    # It was named, and there is nothing of it: the page says why.
                    codes.append(HubUnavailable.exit_code)
            except ReleaseError as error:
                if len(names) == 1 and not options.every:
                    raise
                say(f"{name} has no page:")
                show_error(error)
                codes.append(error.exit_code)
                notices.append(notice_of(error, f"{Path(name).name} has no page", named=name))
            except Exception as error:
                if len(names) == 1:
                    raise
                say(f"{name} has no page: this is a bug in sae-release; please report it with")
                say(traceback.format_exc().rstrip())
                codes.append(_EXIT_BUG)
                notices.append(_of_bug(error, Path(name).name))
            task.advance()
    site = _site(found, options, tuple(notices))
    files = site_files(site)
    write_site(options.out, files)
    _tell(site, options.out, sum(len(content) for content in files.values()))
    return max(codes)


def _chosen(targets: tuple[str, ...], options: PageOptions) -> tuple[str, ...]:
    if options.every and targets:
        raise UsageError(
            "--all was given beside targets", expected="one of them", next_step="leave out --all"
        )
    if options.every:
        return tuple(str(path) for path in manifest_files(options.manifests))
    if not targets:
        raise UsageError(
            "nothing was named to make pages of",
            expected="manifests, repositories, folders or saved reports, or --all",
            next_step="release report --all --out site",
        )
    return tuple(dict.fromkeys(targets))


@contextlib.contextmanager
def _connection(options: PageOptions) -> Iterator[HubConnection | None]:
    if options.offline:
        yield None
        return
    with connect(options.hub, build=options.build_root) as connection, without_client_bars():
        yield connection


def _of_bug(error: Exception, name: str) -> Notice:
    """What a page says of our own mistake; its message may hold a path, and stays off the page."""
    return Notice(
        f"{name} has no page: sae-release met an error of its own, {type(error).__name__}",
        "run `release report` of it alone, and report the traceback as a bug",
    )


def _read(
    text: str, options: PageOptions, connection: HubConnection | None, cache: Path
) -> tuple[PageSource, HubState]:
    if (report := _saved_report(text)) is not None:
        return source_of_report(report), not_asked(_NO_MANIFEST)
    target = parse_target(text, manifests=options.manifests)
    match target:
        case ManifestTarget():
            source, loaded = source_of_manifest(target.path, options.build_root)
            if connection is None:
                return source, not_asked(_OFFLINE)
            state = hub_state(loaded, connection)
            if source.report is None and state.head is not None:
                source = with_published_report(source, state.head, connection, cache)
            return source, state
        case FolderTarget():
            return source_of_folder(target.path), not_asked(_NO_MANIFEST)
        case HubTarget():
            if connection is None:
                raise UsageError(
                    f"{text} is on the Hub, and --offline asks none",
                    expected="targets on this machine",
                    next_step="leave out --offline, or name the manifest",
                )
            source = source_of_hub(target.repo_id, target.revision, connection, cache)
            assert source.hub is not None
            return source, source.hub


def _saved_report(text: str) -> Path | None:
    """The saved report that a target names; None where it names something else.

    Raises:
        UsageError: there is no such report, or the target is a file that pages are not made of.
    """
    path = Path(text)
    if path.suffix == _SAVED and path.is_file():
        return path
    if path.suffix == _SAVED and not path.is_dir():
        near = nearest_file(path, (_SAVED,))
        raise UsageError(
            f"there is no saved report {text!r}",
            expected="a file that `release validate --format json` wrote",
            next_step=f"did you mean {near.as_posix()}?"
            if near
            else f"release validate TARGET --format json -o {path.name}",
        )
    if path.is_file() and path.suffix not in SUFFIXES:
        raise UsageError(
            f"{text!r} is a file, and neither a manifest nor a saved report",
            expected="a manifest (.yaml), a saved report (.json), a folder, or "
            "owner/name[@revision]",
            next_step="name the file that `release validate --format json` wrote, by its ending "
            ".json",
        )
    return None


def _site(found: list[_Found], options: PageOptions, notices: tuple[Notice, ...]) -> Site:
    files = file_names(each.name for each in found)
    pages = tuple(replace(each.page, file=file) for each, file in zip(found, files, strict=True))
    was_asked = any(page.hub.endpoint for page in pages)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Site(options.title, pages, now if was_asked else "", notices)


def _tell(site: Site, out: Path, size_bytes: int) -> None:
    for page in site.pages:
        for notice in page.notices:
            say(f"{page.repo_id}: {notice.text}")
        if page.hub.word == "no answer":
            say(f"{page.repo_id}: the Hub gave no answer: {'; '.join(page.hub.findings)}")
    repositories = len(site.pages)
    are = "repository" if repositories == 1 else "repositories"
    show(
        f"{repositories} {are} with {counted(site.n_saes, 'SAE')}, {site.n_measured} of them "
        f"measured: {size_bytes / 1e6:.1f} MB. Next: open {out / 'index.html'}"
    )
