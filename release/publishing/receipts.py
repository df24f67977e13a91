"""`work/receipt.json`: what the last push of a build left on the Hub."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from manifests.build_folder import BuildFolder, write_atomically

if TYPE_CHECKING:
    from release.publishing.push import Receipt

_NAME = "receipt.json"


def keep_receipt(receipt: Receipt, build: BuildFolder) -> None:
    """Write it, in place of a former one; equal receipts give equal bytes."""
    content = json.dumps(asdict(receipt), indent=2, sort_keys=True) + "\n"
    write_atomically(build.work / _NAME, content.encode("utf-8"))


def read_receipt(build: BuildFolder) -> dict[str, Any]:
    """What was written; empty where there is none that can be read."""
    try:
        found = json.loads((build.work / _NAME).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
