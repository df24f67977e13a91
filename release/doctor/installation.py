"""How the tool came onto this machine, and with which words more of it is installed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from release.doctor.line import Line, State

NAME = "sae-release"
TORCH_INDEX = "https://download.pytorch.org/whl/"
OLDEST_PYTHON = (3, 11)

Kind = Literal["checkout", "editable", "pip", "pipx", "uv tool", "source"]


@dataclass(frozen=True)
class Installation:
    """Where the tool comes from.

    Attributes:
        version: of the tool; None where it runs from its source without being installed.
        kind: `checkout` is an editable installation beside make.py.
        folder: the source of an editable installation.
        origin: the URL of one that was installed from a repository or an archive.
        python: how its interpreter is called on a command line.
    """

    version: str | None
    kind: Kind
    folder: Path | None = None
    origin: str | None = None
    python: str = "python"

    def add_extra(self, extra: str) -> str:
        """The line that installs an extra."""
        if self.kind == "pipx":
            return f'pipx install --force "{NAME}[{extra}]"'
        if self.kind == "uv tool":
            return f'uv tool install --force "{NAME}[{extra}]"'
        pip = f"{self.python} -m pip install"
        if self.folder is not None:
            constraints = self.folder / "constraints.txt"
            pinned = f'-c "{constraints}" ' if constraints.is_file() else ""
            return f'{pip} {pinned}-e "{self.folder}[{extra}]"'
        if self.origin is not None:
            return f'{pip} "{NAME}[{extra}] @ {self.origin}"'
        return f'{pip} "{NAME}[{extra}]"'

    def take_torch(self, version: str, build: str) -> str:
        """The line that replaces torch by its build for a CUDA, such as `cu126`."""
        if self.kind == "checkout":
            return f"python make.py setup --torch {'cuda' if build == 'cu126' else build}"
        bare = version.partition("+")[0]
        wanted = f"--index-url {TORCH_INDEX}{build} torch=={bare}+{build}"
        if self.kind == "pipx":
            return f"pipx runpip {NAME} install {wanted}"
        if self.kind == "uv tool":
            return f'uv pip install --python "{sys.executable}" {wanted}'
        return f"{self.python} -m pip install {wanted}"


def installation() -> Installation:
    """How this very process's tool is installed."""
    try:
        found: Distribution | None = distribution(NAME)
    except PackageNotFoundError:
        found = None
    return describe(found, prefix=Path(sys.prefix), python=python_command(sys.executable))


def describe(found: Distribution | None, *, prefix: Path, python: str) -> Installation:
    """An installation, from its metadata (PEP 610) and what installers leave in an environment."""
    if found is None:
        return Installation(None, "source", python=python)
    direct = json.loads(found.read_text("direct_url.json") or "{}")
    url = str(direct.get("url", ""))
    if direct.get("dir_info", {}).get("editable"):
        folder = Path(url2pathname(urlsplit(url).path))
        is_checkout = (folder / "make.py").is_file() and prefix == folder / ".venv"
        return Installation(
            found.version, "checkout" if is_checkout else "editable", folder, python=python
        )
    if (prefix / "pipx_metadata.json").is_file():
        return Installation(found.version, "pipx", python=python)
    if (prefix / "uv-receipt.toml").is_file():
        return Installation(found.version, "uv tool", python=python)
    vcs = direct.get("vcs_info")
    origin = f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs else url or None
    return Installation(found.version, "pip", origin=origin, python=python)


def python_command(executable: str, *, windows: bool = os.name == "nt") -> str:
    """How to call an interpreter: `python` where that is the one, else its path, quoted if need be.

    PowerShell calls a quoted path only after an ampersand.
    """
    on_path = shutil.which("python")
    if on_path and Path(on_path).absolute() == Path(executable).absolute():
        return "python"
    if " " not in executable:
        return executable
    return f'& "{executable}"' if windows else f'"{executable}"'


def installation_lines(
    found: Installation, *, version_info: tuple[int, ...] = tuple(sys.version_info[:3])
) -> list[Line]:
    """Python, and the tool."""
    python = ".".join(map(str, version_info))
    oldest = ".".join(map(str, OLDEST_PYTHON))
    is_old = tuple(version_info[:2]) < OLDEST_PYTHON
    lines = [
        Line(
            "python",
            State.BROKEN if is_old else State.OK,
            f"{python} ({sys.executable})" + (f", and {oldest} is the oldest" if is_old else ""),
            f"install Python {oldest} or later, and {NAME} there" if is_old else None,
        )
    ]
    if found.version is None:
        return [
            *lines,
            Line(
                "tool",
                State.NOTE,
                "runs from its source and is not installed, so that its extras are not known",
                f"{found.python} -m pip install -e .",
            ),
        ]
    where = f" in {found.folder}" if found.folder else f" from {found.origin}" * bool(found.origin)
    how = {"checkout": "editable, by make.py", "pip": "by pip"}.get(found.kind, found.kind)
    lines.append(Line("tool", State.OK, f"{NAME} {found.version}, {how}{where}"))
    if shutil.which("release") is None:
        lines.append(
            Line(
                "command",
                State.NOTE,
                "no `release` on PATH; activate the environment that has it, or call it by Python",
                f"{found.python} -m release",
            )
        )
    return lines
