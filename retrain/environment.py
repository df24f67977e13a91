"""Where training runs: what the record says about it, and torch made repeatable."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import torch

from manifests.base_model import Precision
from manifests.tool_version import tool_version
from validators.training_record import Environment

_PACKAGES = ("torch", "transformers", "numpy", "safetensors")
_QUANTISED = ("int8", "fp4", "nf4")


def environment(
    device: str, *, engine: str = "local", precision: Precision | None = None
) -> Environment:
    """Versions and the device, without anything that names the machine.

    Args:
        device: where torch computed.
        engine: what ran the pieces of work.
        precision: of the base model; a quantised one ran in bitsandbytes.
    """
    is_quantised = precision is not None and precision.weights in _QUANTISED
    packages = (*_PACKAGES, *(("bitsandbytes",) if is_quantised else ()))
    return {
        "sae-release": tool_version(),
        "engine": engine,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **{name: version(name) for name in packages},
        "threads": str(torch.get_num_threads()),
        "device": device,
        **_device_facts(device),
    }


def _device_facts(device: str) -> Environment:
    """Name, compute capability, CUDA and driver; all but the name are null on a CPU."""
    if not device.startswith("cuda"):
        nothing = dict.fromkeys(("compute_capability", "cuda", "driver"))
        return {"device_name": platform.machine(), **nothing}
    major, minor = torch.cuda.get_device_capability(device)
    return {
        "device_name": torch.cuda.get_device_name(device),
        "compute_capability": f"{major}.{minor}",
        "cuda": torch.version.cuda,
        "driver": driver_version(),
    }


def driver_version() -> str | None:
    """The NVIDIA driver's version; None when `nvidia-smi` is missing or does not answer."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    query = [command, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(  # noqa: S603
            query, capture_output=True, text=True, encoding="utf-8", timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    # One line for each GPU, all with the same driver.
    return next((line.strip() for line in answer.stdout.splitlines() if line.strip()), None)


@contextmanager
def repeatable(device: str) -> Iterator[None]:
    """The same bits on every run of one machine; torch's settings are put back afterwards.

    On the CPU this holds by itself for a fixed number of threads. On CUDA torch is told to
    refuse operations whose result depends on scheduling.
    """
    if not device.startswith("cuda"):
        yield
        return
    make_cublas_repeatable()
    was = torch.are_deterministic_algorithms_enabled()
    deterministic: Any = torch.utils.deterministic
    was_filled = deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    # Every new array would be filled with NaN first.
    deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was)
        deterministic.fill_uninitialized_memory = was_filled


def make_cublas_repeatable() -> None:
    """Let cuBLAS use workspaces with which it gives the same bits twice.

    To be called before the first product on a GPU: torch looks only once whether this was done.
    """
    if os.environ.get("CUBLAS_WORKSPACE_CONFIG") not in (":4096:8", ":16:8"):
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
