"""Several cards rendered one after another: each tells how it went, and none stops the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from cards.stage import render, stale_files
from manifests.build_folder import BuildFolder
from manifests.collection import is_collection
from manifests.errors import ReleaseError
from manifests.load import load_manifest
from manifests.progress import Silent
from release.console import TerminalProgress, say, show, show_error, stdout_console, write_data
from validators.presenting.printable import no_command, printable
from validators.presenting.tally import counted

if TYPE_CHECKING:
    from release.hub_connection import HubConnection

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
EXIT_STALE = 1
_DESCRIBED = "; described by the manifest, nothing measured"


class Mode(Enum):
    """What becomes of the files that would be rendered."""

    WRITE = "write"
    CHECK = "check"
    DIFF = "diff"


def render_all(
    paths: Sequence[Path], builds: Path, *, mode: Mode, hub: HubConnection | None = None
) -> int:
    """Render the card of each manifest and collection, or compare with what lies there.

    Args:
        paths: the YAML files.
        builds: the folder that has one of each file's name.
        mode: whether to write, and what to make of stale files.
        hub: compare with what is published there in place of the build folder; only without WRITE.

    Returns:
        The highest exit code of all.
    """
    codes = []
    for path in paths:
        try:
            if mode is Mode.WRITE:
                codes.append(_write(path, builds, is_alone=len(paths) == 1))
            elif hub is None:
                codes.append(_compare_with_the_build(path, builds, mode))
            else:
                codes.append(_compare_with_the_hub(path, builds, mode, hub))
        except ReleaseError as error:
            if len(paths) > 1:
                say(f"{path.stem} is not rendered:")
            show_error(error)
            codes.append(error.exit_code)
    return max(codes)


def _write(path: Path, builds: Path, *, is_alone: bool) -> int:
    build = BuildFolder(builds / path.stem)
    if is_collection(path):
        from release.rendered_collection import render_collection

        rendered, remark = render_collection(path, builds), ""
    else:
        # Of several, one line each: a line for each file would bury the errors.
        progress = TerminalProgress() if is_alone else Silent()
        rendered, remark = render(load_manifest(path), build, progress=progress), _remark(build)
    written, unchanged = len(rendered.written), len(rendered.unchanged)
    deleted = f", {len(rendered.deleted)} deleted" if rendered.deleted else ""
    show(
        f"{counted(written, 'file')} written, {unchanged} unchanged{deleted}, "
        f"in {build.repository}{remark}."
    )
    return 0


def _remark(build: BuildFolder) -> str:
    return "" if build.report_json.is_file() else _DESCRIBED


def _compare_with_the_build(path: Path, builds: Path, mode: Mode) -> int:
    build = BuildFolder(builds / path.stem)
    if is_collection(path):
        from release.rendered_collection import stale_collection

        stale, remark = stale_collection(path, builds), ""
    else:
        stale, remark = stale_files(load_manifest(path), build), _remark(build)
    _show_all(stale)
    if not stale:
        show(f"{path.stem}: every rendered file is what rendering gives now{remark}.")
        return 0
    are = "file is" if len(stale) == 1 else "files are"
    show(f"{path.stem}: {len(stale)} {are} stale{remark}. Next: release render {path}")
    return EXIT_STALE if mode is Mode.CHECK else 0


def _compare_with_the_hub(path: Path, builds: Path, mode: Mode, hub: HubConnection) -> int:
    from release.published_card import differences, published_card, wanted_card

    wanted = wanted_card(path, builds)
    published = published_card(wanted, hub)
    remark = "" if is_collection(path) else _remark(BuildFolder(builds / path.stem))
    stale = differences(wanted, published)
    _show_all(stale)
    if remark and published.has_report:
        say(
            f"{path.stem}: {wanted.repo_id} has a report, and nothing was measured here; its card "
            f"would lose its numbers"
        )
    if published.oid is None:
        show(
            f"{path.stem}: the Hub has no repository {wanted.repo_id}, or shows this token none; "
            f"all {counted(len(stale), 'file')} are new{remark}."
        )
    elif not stale:
        show(f"{path.stem}: {wanted.repo_id} has the card that rendering gives now{remark}.")
        return 0
    else:
        are = "file is" if len(stale) == 1 else "files are"
        show(
            f"{path.stem}: {len(stale)} {are} stale at {wanted.repo_id}@{published.oid[:12]}"
            f"{remark}. Next: release run {path}"
        )
    return EXIT_STALE if mode is Mode.CHECK else 0


def _show_all(stale: Mapping[str, str]) -> None:
    for difference in stale.values():
        _show_diff(difference)


def _show_diff(difference: str) -> None:
    """Print a unified diff to stdout, one line of it on each; coloured on a terminal only.

    What lies in the folder may be a stranger's, so its control characters are shown as escapes.
    """
    lines = [no_command(line) for line in printable(difference).splitlines()]
    console = stdout_console()
    if not console.is_terminal:
        write_data("\n".join(lines))
        return
    for line in lines:
        console.print(line, style=_COLOURS.get(line[:1]), soft_wrap=True)
