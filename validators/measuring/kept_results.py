"""What was computed of one SAE or one layer, kept on the disk under all that it depends on."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.build_folder import written_atomically
from manifests.digests import json_sha256

_TEXT = "text"


@dataclass(frozen=True)
class Result:
    """JSON text, and the arrays that comparisons of SAEs with each other need."""

    text: str
    arrays: Mapping[str, NDArray[Any]]


class KeptResults:
    """A folder of results; a damaged file is as good as none."""

    def __init__(self, folder: Path | None) -> None:
        """Prepare.

        Args:
            folder: where they lie; None: nothing is kept.
        """
        self._folder = folder
        self._used: set[str] = set()
        self.n_made = 0

    def get(self, depends_on: Mapping[str, Any], make: Callable[[], Result]) -> Result:
        """The kept result of these inputs, or a new one.

        Args:
            depends_on: JSON values, equal if and only if the result would be.
            make: computes it.
        """
        if self._folder is None:
            self.n_made += 1
            return make()
        name = f"{json_sha256(dict(depends_on))}.npz"
        self._used.add(name)
        path = self._folder / name
        kept = _read(path)
        if kept is not None:
            return kept
        result = make()
        self.n_made += 1
        text = np.frombuffer(result.text.encode("utf-8"), dtype=np.uint8)
        arrays: dict[str, Any] = {_TEXT: text, **result.arrays}
        with written_atomically(path) as stream:
            np.savez(stream, **arrays)
        return result

    def remove_unused(self) -> None:
        """Remove results that no call asked for: of former weights, data or settings."""
        for path in self._folder.glob("*.npz") if self._folder and self._folder.is_dir() else ():
            if path.name not in self._used:
                path.unlink()


def _read(path: Path) -> Result | None:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        # Missing, or cut off by a full disk: it is computed again.
        return None
    text = found.pop(_TEXT, None)
    return None if text is None else Result(text.tobytes().decode("utf-8"), found)
