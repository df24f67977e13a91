"""Where training runs: what the record says about it, and torch made repeatable."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import torch


def environment(device: str) -> dict[str, str]:
    """Versions and the device, without anything that names the machine."""
    is_cuda = device.startswith("cuda")
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "device": device,
        "device_name": torch.cuda.get_device_name(device) if is_cuda else platform.machine(),
        "threads": str(torch.get_num_threads()),
    }


@contextmanager
def repeatable(device: str) -> Iterator[None]:
    """The same bits on every run of one machine; torch's settings are put back afterwards.

    On the CPU this holds by itself for a fixed number of threads. On CUDA torch is told to
    refuse operations whose result depends on scheduling.
    """
    if not device.startswith("cuda"):
        yield
        return
    # cuBLAS reads it when its first handle is made.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    was = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was)
