"""Where a release's files lie while it is made: `build/<manifest>/`.

`repository/` is, byte for byte, what a push publishes; `work/` holds what only this machine needs
(captured activations, checkpoints, plans, receipts) and can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

SAE_CONFIG = "cfg.json"
SAE_WEIGHTS = "sae_weights.safetensors"
_REPLACE_ATTEMPTS = 20


@dataclass(frozen=True)
class BuildFolder:
    """The folder of one manifest under `build/`.

    Attributes:
        root: the folder itself.
        captured_in: where another build keeps activations of the same data; None: here.
    """

    root: Path
    captured_in: Path | None = None

    @property
    def repository(self) -> Path:
        """What is published: SAE folders, card, index, report, training record, manifest."""
        return self.root / "repository"

    @property
    def work(self) -> Path:
        """What is not published."""
        return self.root / "work"

    @property
    def activations(self) -> Path:
        """What the trainer captured, by the digest of all that it depends on."""
        return self.captured_in or self.work / "activations"

    @property
    def vectors(self) -> Path:
        """What the validators captured, likewise, by their own code."""
        return self.work / "vectors"

    def with_seed(self, seed: int) -> BuildFolder:
        """The build of the same manifest with another `recipe.seed`, never published."""
        return BuildFolder(self.work / "seeds" / str(seed), captured_in=self.activations)

    def with_precision(self, label: str) -> BuildFolder:
        """The build of the same manifest on its base model at another precision."""
        return BuildFolder(self.work / "precisions" / label.replace(":", "-"))

    @property
    def training_json(self) -> Path:
        """How the weights were made."""
        return self.repository / "training.json"

    @property
    def report_json(self) -> Path:
        """What was checked and measured."""
        return self.repository / "report.json"

    @property
    def card_json(self) -> Path:
        """From which report the card was rendered, and what came out."""
        return self.repository / "card.json"

    @property
    def manifest_json(self) -> Path:
        """The resolved manifest."""
        return self.repository / "manifest.json"

    def sae_folder(self, sae_id: str) -> Path:
        """The folder of one SAE."""
        return self.repository / sae_id


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a kill at any moment, sees the old bytes or the new.

    Raises:
        OSError: see `written_atomically`.
    """
    with written_atomically(path) as stream:
        stream.write(content)


@contextlib.contextmanager
def written_atomically(path: Path) -> Iterator[BinaryIO]:
    """A stream whose bytes become the file when the block ends; an error leaves the old file.

    The new bytes go to a temporary name in the same folder and are flushed to the disk before
    they take the file's name. Where another process holds the old file open and the platform
    refuses to replace it (Windows), the replacement is tried again for about two seconds.

    Raises:
        OSError: the folder cannot be written, or the file stayed locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        for attempt in range(_REPLACE_ATTEMPTS):
            try:
                temporary.replace(path)
                return
            except PermissionError:
                if attempt == _REPLACE_ATTEMPTS - 1:
                    raise
                time.sleep(0.1)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
