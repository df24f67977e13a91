"""The machine that a job runs on, and the pinned software that it is given."""

from __future__ import annotations

import difflib
import json
import re
from importlib.metadata import PackageNotFoundError, distribution, version

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
    """The requirement that installs this very tool elsewhere.

    Raises:
        UsageError: it was installed from a folder, or not at all, and a job reaches neither.
    """
    installed = tool_version()
    if installed.endswith("+source"):
        raise _unreachable("this tool is not installed here")
    found = requirement_of(installed, distribution("sae-release").read_text("direct_url.json"))
    if found is None:
        raise _unreachable("this tool was installed from a folder of this machine")
    return found


def requirement_of(installed: str, origin: str | None) -> str | None:
    """The requirement of an installed version, None where only this machine has it.

    Args:
        installed: the version.
        origin: `direct_url.json` as an installer left it (PEP 610); None: a package index.
    """
    if origin is None:
        return f"sae-release[retrain]=={installed}"
    direct = json.loads(origin)
    url, vcs = str(direct.get("url", "")), direct.get("vcs_info")
    digest = direct.get("archive_info", {}).get("hashes", {}).get("sha256")
    if not url.startswith(("https://", "http://")) or not (vcs or digest):
        return None
    place = f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs else f"{url}#sha256={digest}"
    return f"sae-release[retrain] @ {place}"


def _unreachable(what: str) -> UsageError:
    return UsageError(
        f"{what}, so the job could not install it",
        where="tool",
        expected="a pinned requirement that can be installed from anywhere",
        next_step="add --job-tool 'sae-release[retrain] @ git+https://...@<40 digits of a commit>'",
    )


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
