"""How the tool came onto this machine, and with which words more of it is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Literal
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
        folder: the source on this machine that it was installed from.
        origin: the URL of one that was installed from a repository or an archive.
        python: how its interpreter is called on a command line.
        has_pip: whether its environment has pip; uv makes environments without it.
    """

    version: str | None
    kind: Kind
    folder: Path | None = None
    origin: str | None = None
    python: str = "python"
    has_pip: bool = True

    @property
    def is_editable(self) -> bool:
        """Whether what is imported is the source in `folder`."""
        return self.kind in ("checkout", "editable")

    def pip_install(self, wanted: str) -> str:
        """The line that installs packages into the tool's own environment."""
        if self.kind == "pipx":
            return f"pipx runpip {NAME} install {wanted}"
        if self.kind == "uv tool" or not self.has_pip:
            return f'uv pip install --python "{sys.executable}" {wanted}'
        return f"{self.python} -m pip install {wanted}"

    def add_extra(self, extra: str) -> str:
        """The line that installs an extra, or what the base lacks where `extra` is empty."""
        if self.kind in ("pipx", "uv tool"):
            return f"{self.kind} install --force {self._source(extra)}"
        return self.pip_install(self._source(extra))

    def reinstall(self) -> str:
        """The line that installs the tool and its packages anew."""
        if self.kind == "checkout":
            return "python make.py clean, then python make.py setup"
        if self.kind == "pipx":
            return f"pipx reinstall {NAME}"
        if self.kind == "uv tool":
            return f"uv tool upgrade --reinstall {NAME}"
        source = "-e ." if self.version is None else self._source("")
        return self.pip_install(f"--force-reinstall {source}")

    def _source(self, extra: str) -> str:
        """What to install, from where it came from, with an extra or without."""
        extras = f"[{extra}]" if extra else ""
        if self.folder is None:
            origin = f" @ {self.origin}" if self.origin else ""
            return f'"{NAME}{extras}{origin}"'
        if not self.is_editable:
            return f'"{self.folder}{extras}"'
        constraints = self.folder / "constraints.txt"
        pinned = f'-c "{constraints}" ' if constraints.is_file() else ""
        return f'{pinned}-e "{self.folder}{extras}"'

    def take_torch(self, version: str, build: str) -> str:
        """The line that replaces torch by its build for a CUDA, such as `cu126`."""
        if self.kind == "checkout":
            return f"python make.py setup --torch {'cuda' if build == 'cu126' else build}"
        bare = version.partition("+")[0]
        wanted = f"--index-url {TORCH_INDEX}{build} torch=={bare}+{build}"
        return self.pip_install(wanted)


def installation() -> Installation:
    """How this very process's tool is installed."""
    try:
        found: Distribution | None = distribution(NAME)
    except PackageNotFoundError:
        found = None
    described = describe(found, prefix=Path(sys.prefix), python=python_command(sys.executable))
    return replace(described, has_pip=importlib.util.find_spec("pip") is not None)


def describe(found: Distribution | None, *, prefix: Path, python: str) -> Installation:
    """An installation, from its metadata (PEP 610) and what installers leave in an environment."""
    if found is None:
        return Installation(None, "source", python=python)
    direct = json.loads(found.read_text("direct_url.json") or "{}")
    url = str(direct.get("url", ""))
    folder = Path(url2pathname(urlsplit(url).path)) if "dir_info" in direct else None
    if folder is not None and direct["dir_info"].get("editable"):
        is_checkout = (folder / "make.py").is_file() and prefix == folder / ".venv"
        return Installation(
            found.version, "checkout" if is_checkout else "editable", folder, python=python
        )
    kind: Kind = "pip"
    if (prefix / "pipx_metadata.json").is_file():
        kind = "pipx"
    elif (prefix / "uv-receipt.toml").is_file():
        kind = "uv tool"
    return Installation(found.version, kind, folder, None if folder else _origin(direct), python)


def _origin(direct: dict[str, Any]) -> str | None:
    """A repository at its commit, or an archive, as a requirement names it; None for an index."""
    url = str(direct.get("url", ""))
    if vcs := direct.get("vcs_info"):
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    inside = f"#subdirectory={direct['subdirectory']}" if direct.get("subdirectory") else ""
    return f"{url}{inside}" if url else None


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
                found.pip_install("-e ."),
            ),
        ]
    source = found.folder or found.origin
    where = f" {'in' if found.is_editable else 'from'} {source}" if source else ""
    how = {"checkout": "editable, by make.py", "pip": "by pip" if found.has_pip else "by uv"}.get(
        found.kind, found.kind
    )
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
