"""What Windows has to be told once: long paths, and links without an administrator."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from release.doctor.folders import nearest_there
from release.doctor.line import Line, State

_LONG_PATHS = (
    "in PowerShell as administrator: New-ItemProperty -Force -PropertyType DWord -Value 1 -Path "
    r"HKLM:\SYSTEM\CurrentControlSet\Control\FileSystem -Name LongPathsEnabled"
)
_DEVELOPER_MODE = "Settings > System > For developers: turn on Developer Mode"


def has_long_paths() -> bool | None:
    """Whether paths of more than 260 characters are on; None on another system."""
    is_on: bool | None = None
    if sys.platform == "win32":
        import winreg

        key = r"SYSTEM\CurrentControlSet\Control\FileSystem"
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:
                is_on = bool(winreg.QueryValueEx(opened, "LongPathsEnabled")[0])
        except OSError:
            is_on = False
    return is_on


def can_link(folder: Path) -> bool | None:
    """Whether a symbolic link can be made in the nearest folder that exists; None without any."""
    try:
        nearest = nearest_there(folder.absolute())
        if nearest is None:
            return None
        with tempfile.TemporaryDirectory(dir=nearest) as scratch:
            (Path(scratch) / "file").touch()
            (Path(scratch) / "link").symlink_to("file")
            return True
    except (OSError, NotImplementedError):
        return False


def windows_lines(
    cache: Path,
    *,
    platform: str = sys.platform,
    has_long_paths: Callable[[], bool | None] = has_long_paths,
    can_link: Callable[[Path], bool | None] = can_link,
) -> list[Line]:
    """The lines for Windows; none elsewhere.

    Args:
        cache: where huggingface_hub keeps models, which it links to.
        platform: as `sys.platform` names it.
        has_long_paths: asks the registry.
        can_link: tries a link; without a folder to try it in there is no line on links.
    """
    if platform != "win32":
        return []
    lines = [Line("long paths", State.OK, "on")]
    if not has_long_paths():
        what = "off: a file deep in a cache or a build cannot be opened by some programs"
        lines = [Line("long paths", State.NOTE, what, _LONG_PATHS)]
    links = can_link(cache)
    if links:
        lines.append(Line("links", State.OK, f"can be made in {cache}"))
    elif links is not None:
        what = f"cannot be made in {cache}: models are copied there and take more room"
        lines.append(Line("links", State.NOTE, what, _DEVELOPER_MODE))
    return lines
