"""The machine that a job runs on, and the pinned software that it is given."""

from __future__ import annotations

import difflib
import re
from importlib.metadata import PackageNotFoundError, version

from manifests.errors import ReleaseError, UsageError
from manifests.model import Target
from manifests.tool_version import tool_version

# What the captured activations and the bits of the weights depend on.
_DECIDING = (
    "accelerate",
    "bitsandbytes",
    "numpy",
    "sae-lens",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
)
# An exact version, a commit, or a file whose digest is named.
_PINNED = re.compile(r"==\s*[^\s,*]+$|@\s*git\+\S+@[0-9a-f]{40}$|@\s*\S+#sha256=[0-9a-f]{64}$")


class NoFlavor(ReleaseError):
    """The manifest names no machine of Hugging Face Jobs that fits its target."""

    exit_code = 2


def checked_flavor(target: Target) -> str:
    """The flavor that the target names.

    Raises:
        NoFlavor: it is null, unknown to the installed huggingface_hub, or has no GPU where the
            target is `cuda`.
    """
    from huggingface_hub import JobHardware

    known = [flavor.value for flavor in JobHardware]
    where, flavor = "hardware.target.flavor", target.flavor
    if flavor is None:
        raise NoFlavor(
            "the manifest names no machine for the job",
            where=where,
            expected=f"one of {', '.join(known)}",
            next_step="write it under hardware.target of the manifest",
        )
    if flavor not in known:
        near = difflib.get_close_matches(flavor, known, n=1)
        raise NoFlavor(
            f"{flavor!r} is no machine that the installed huggingface_hub knows",
            where=where,
            expected=f"one of {', '.join(known)}",
            next_step=f"did you mean {near[0]}?" if near else "or bring huggingface_hub up to date",
        )
    if target.device == "cuda" and flavor.startswith("cpu-"):
        raise NoFlavor(
            f"{flavor} has no GPU, and hardware.target.device is cuda",
            where=where,
            expected=f"one of {', '.join(name for name in known if not name.startswith('cpu-'))}",
            next_step="name another machine, or the device cpu",
        )
    return flavor


def default_tool() -> str:
    """The installed version of this tool as a requirement.

    Raises:
        UsageError: it is not installed, so it has no version.
    """
    installed = tool_version()
    if installed.endswith("+source"):
        raise UsageError(
            "this tool is not installed here, so there is no version that the job could install",
            where="tool",
            expected="a pinned requirement, such as sae-release[retrain] @ git+https://...@<commit>",
        )
    return f"sae-release[retrain]=={installed}"


def checked_tool(requirement: str) -> str:
    """The requirement of this tool.

    Raises:
        UsageError: it may become another version tomorrow.
    """
    if not _PINNED.search(requirement):
        raise UsageError(
            f"{requirement!r} is not pinned",
            where="tool",
            expected="name==version, name @ git+URL@<40 digits of the commit>, or "
            "name @ URL#sha256=<digest>",
        )
    return requirement


def pins_here() -> tuple[str, ...]:
    """Installed versions that decide the weights, as pins; of torch without its build's name."""
    pins = []
    for name in _DECIDING:
        try:
            pins.append(f"{name}=={version(name).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return tuple(pins)
