"""On what a report was made: versions of the packages whose behaviour is in the numbers."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("numpy", "safetensors", "torch", "transformers", "sae-lens", "scikit-learn")


def environment() -> dict[str, str]:
    """Python, platform and package versions; nothing is imported, nothing names the machine."""
    found = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    return found | {package: _version(package) for package in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
