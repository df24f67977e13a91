"""The NVIDIA GPUs of this machine, asked of the driver and of the bus, not of torch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_SECONDS = 20
_NVIDIA = "0x10de"
_DISPLAY_CLASS = "0x03"

Run = Callable[[Sequence[str]], str | None]


@dataclass(frozen=True)
class Gpu:
    """One GPU as the driver describes it.

    Attributes:
        name: such as NVIDIA GeForce RTX 4090.
        capability: compute capability, (8, 9) for 8.9; None where an old driver does not say.
        driver: its version, such as 550.54.15.
    """

    name: str
    capability: tuple[int, int] | None
    driver: str

    @property
    def driver_major(self) -> int | None:
        """The first number of the driver's version; None where it is none."""
        head = self.driver.partition(".")[0]
        return int(head) if head.isdigit() else None


@dataclass(frozen=True)
class Gpus:
    """What is there: GPUs that the driver answers for, and how many the bus has without one."""

    found: tuple[Gpu, ...] = ()
    n_without_driver: int = 0


def answer(command: Sequence[str]) -> str | None:
    """What a command prints; None where it is missing, fails, or takes too long."""
    path = shutil.which(command[0])
    if path is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603
            [path, *command[1:]],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def gpus(*, run: Run = answer, bus: Path | None = None) -> Gpus:
    """The GPUs of this machine.

    Args:
        run: runs `nvidia-smi`; a test answers in its place.
        bus: the folder of PCI devices; by default Linux's, none elsewhere.
    """
    for fields in ("name,compute_cap,driver_version", "name,driver_version"):
        told = run(("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"))
        if told:
            found = tuple(_gpu(line) for line in told.splitlines() if line.count(",") >= 1)
            if found:
                return Gpus(found)
    if bus is None and sys.platform == "linux":
        bus = Path("/sys/bus/pci/devices")
    return Gpus((), _on_the_bus(bus) if bus is not None and bus.is_dir() else 0)


def _gpu(line: str) -> Gpu:
    """A line such as `NVIDIA H200, 9.0, 570.86.15`; a name may hold commas, the rest does not."""
    fields = [field.strip() for field in line.split(",")]
    major, dot, minor = fields[-2].partition(".")
    if dot and major.isdigit() and minor.isdigit():
        return Gpu(", ".join(fields[:-2]), (int(major), int(minor)), fields[-1])
    return Gpu(", ".join(fields[:-1]), None, fields[-1])


def _on_the_bus(bus: Path) -> int:
    n_found = 0
    for device in bus.iterdir():
        try:
            vendor = (device / "vendor").read_text(encoding="ascii").strip()
            kind = (device / "class").read_text(encoding="ascii").strip()
        except OSError:
            continue
        n_found += vendor == _NVIDIA and kind.startswith(_DISPLAY_CLASS)
    return n_found
