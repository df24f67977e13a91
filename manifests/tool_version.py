"""The version of the installed tool, as reports and cards name it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def tool_version() -> str:
    """Version of the distribution `sae-release`, or `0+source` when it is not installed."""
    try:
        return version("sae-release")
    except PackageNotFoundError:
        return "0+source"
