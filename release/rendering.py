"""Several manifests rendered one after another: each tells how it went, and none stops the next."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from cards.stage import render, stale_files
from manifests.build_folder import BuildFolder
from manifests.collection import is_collection
from manifests.errors import ReleaseError
from manifests.load import load_manifest
from manifests.progress import Silent
from manifests.shelf import STUDY_FILES, SUFFIXES, manifest_files
from manifests.yaml_source import YamlProblem
from release.console import TerminalProgress, say, show, show_error, stdout_console, write_data
from validators.presenting.printable import no_command, printable
from validators.presenting.tally import counted

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
EXIT_STALE = 1
EXIT_NOTHING_RENDERED = 3


class Mode(Enum):
    """What becomes of the files that would be rendered."""

    WRITE = "write"
    CHECK = "check"
    DIFF = "diff"


def manifests_of(folder: Path) -> tuple[Path, ...]:
    """The manifests of a folder, those that cannot be read included: each is told about in turn.

    Raises:
        UsageError: the folder does not exist or holds no manifest.
    """
    try:
        return manifest_files(folder)
    except YamlProblem:
        return tuple(
            path
            for path in sorted(folder.iterdir())
            if path.suffix in SUFFIXES and path.name not in STUDY_FILES and not _is_collection(path)
        )


def _is_collection(path: Path) -> bool:
    try:
        return is_collection(path)
    except YamlProblem:
        return False


def render_all(paths: Sequence[Path], builds: Path, *, mode: Mode, skip_unbuilt: bool) -> int:
    """Render each manifest, or compare with what lies there.

    Args:
        paths: the manifests.
        builds: the folder that has one of each manifest's name.
        mode: whether to write, and what to make of stale files.
        skip_unbuilt: leave out a manifest without a report, in place of an error.

    Returns:
        The highest exit code of all; 3 where not one had a report.
    """
    codes, unbuilt = [], []
    for path in paths:
        build = BuildFolder(builds / path.stem)
        if skip_unbuilt and not build.report_json.is_file():
            unbuilt.append(path.stem)
            continue
        try:
            codes.append(_render_one(path, build, mode, is_alone=len(paths) == 1))
        except ReleaseError as error:
            if len(paths) > 1:
                say(f"{path.stem} is not rendered:")
            show_error(error)
            codes.append(error.exit_code)
    if unbuilt:
        say(f"left out, since nothing is built: {', '.join(unbuilt)}")
    if not codes:
        say("no card was rendered. Next: release run MANIFEST")
        return EXIT_NOTHING_RENDERED
    return max(codes)


def _render_one(path: Path, build: BuildFolder, mode: Mode, *, is_alone: bool) -> int:
    loaded = load_manifest(path)
    if mode is Mode.WRITE:
        # Of several, one line each: a line for each file would bury the errors.
        rendered = render(loaded, build, progress=TerminalProgress() if is_alone else Silent())
        written, unchanged = len(rendered.written), len(rendered.unchanged)
        deleted = f", {len(rendered.deleted)} deleted" if rendered.deleted else ""
        show(
            f"{counted(written, 'file')} written, {unchanged} unchanged{deleted}, "
            f"in {build.repository}."
        )
        return 0
    stale = stale_files(loaded, build)
    for difference in stale.values():
        _show_diff(difference)
    if not stale:
        show(f"{loaded.name}: every rendered file is what rendering gives now.")
        return 0
    are = "file is" if len(stale) == 1 else "files are"
    show(f"{loaded.name}: {len(stale)} {are} stale. Next: release render {path}")
    return EXIT_STALE if mode is Mode.CHECK else 0


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
