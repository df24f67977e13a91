"""What a machine left in the config: its device, and paths of its disks."""

from __future__ import annotations

import re
from typing import Any

from validators.mending.draft import Context, Draft, with_keys

_ABSOLUTE_PATH = re.compile(
    r"^(?:/(?:home|Users|root|mnt|tmp|var|data|scratch|content|workspace)/|[A-Za-z]:[\\/]|\\\\)"
)
# Without these nobody knows what the SAE belongs to; they are corrected, not taken out.
_NEEDED = ("hf_hook_name", "hook_name", "model_name")


def forget_the_device(draft: Draft, context: Context) -> Draft:  # noqa: ARG001
    """State the device that every machine has."""
    device = draft.cfg.get("device")
    if device is None or device == "cpu":
        return draft
    return draft.mended(
        "C020",
        f"stated device 'cpu' in place of {device!r:.40}",
        "on a machine without it, building the SAE from this config raises an error",
        cfg=with_keys(draft.cfg, device="cpu"),
    )


def forget_paths(draft: Draft, context: Context) -> Draft:  # noqa: ARG001
    """Take absolute paths out of the config, with the keys that hold nothing else."""
    cfg, removed = _without_paths(draft.cfg, ())
    needed = [path for path in removed if path[-1:] and path[-1] in _NEEDED]
    if needed:
        return draft.leave(
            "C012",
            f"{'.'.join(needed[0])} is a path of a machine",
            "what it should name is not recorded",
        )
    if not removed:
        return draft
    return draft.mended(
        "C012",
        f"took out {', '.join('.'.join(path) for path in removed)}",
        "a path means nothing on another machine, and often names its owner",
        cfg=cfg,
    )


def _without_paths(value: Any, path: tuple[str, ...]) -> tuple[Any, list[tuple[str, ...]]]:
    """A copy without entries that are absolute paths, and where these stood."""
    removed: list[tuple[str, ...]] = []
    if isinstance(value, dict) or hasattr(value, "items"):
        kept: dict[str, Any] = {}
        for key, item in value.items():
            here = (*path, str(key))
            if _is_path(item):
                removed.append(here)
                continue
            kept[key], below = _without_paths(item, here)
            removed += below
        return kept, removed
    if isinstance(value, list):
        items: list[Any] = []
        for index, item in enumerate(value):
            here = (*path, str(index))
            if _is_path(item):
                removed.append(here)
                continue
            mended, below = _without_paths(item, here)
            items.append(mended)
            removed += below
        return items, removed
    return value, removed


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and _ABSOLUTE_PATH.match(value) is not None
