"""The repository as the recognisers see it: names of files, and bounded looks into small ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from validators.reading.repository import Repository, UnreadableFile
from validators.reading.safetensors_header import MalformedSafetensors

# A release of hundreds of SAEs looks alike throughout: a few files tell what it is.
MOST_READS = 64
MAX_CONFIG_BYTES = 262_144

PICKLE_ENDINGS = (".bin", ".ckpt", ".pickle", ".pkl", ".pkl.gz", ".pt", ".pth")


@dataclass
class Listing:
    """Paths by folder; `.` is the repository itself. At most `MOST_READS` files are opened."""

    repository: Repository
    reads_left: int = MOST_READS
    folders: dict[str, frozenset[str]] = field(init=False)

    def __post_init__(self) -> None:
        names: dict[str, set[str]] = {}
        for path in self.repository.files:
            folder, _, name = path.rpartition("/")
            names.setdefault(folder or ".", set()).add(name)
        self.folders = {folder: frozenset(names[folder]) for folder in sorted(names)}

    @property
    def is_exhausted(self) -> bool:
        """Whether no more files are opened, so that only names are left to go by."""
        return self.reads_left <= 0

    def holding(self, name: str) -> Iterator[tuple[str, frozenset[str]]]:
        """Folders that hold a file of this name, with all names in them."""
        return ((folder, names) for folder, names in self.folders.items() if name in names)

    def has(self, folder: str, name: str) -> bool:
        """Whether a folder holds a file of this name."""
        return name in self.folders.get(folder, ())

    def config(self, folder: str, name: str) -> dict[str, Any]:
        """A small JSON object; empty where it is absent, damaged, large or one too many."""
        path = path_in(folder, name)
        if self.repository.files.get(path, MAX_CONFIG_BYTES + 1) > MAX_CONFIG_BYTES:
            return {}
        if not self._may_read():
            return {}
        try:
            found = self.repository.read_json(path)
        except UnreadableFile:
            # Recognition goes by what can be read; a config that cannot is C001's concern.
            return {}
        return found if isinstance(found, dict) else {}

    def tensor_shapes(self, folder: str, name: str) -> dict[str, tuple[int, ...]]:
        """Shapes by tensor name, from the header; empty where it cannot be read."""
        path = path_in(folder, name)
        if path not in self.repository.files or not self._may_read():
            return {}
        try:
            header = self.repository.read_header(path)
        except (MalformedSafetensors, UnreadableFile):
            # A damaged file is F005's concern.
            return {}
        return {tensor: info.shape for tensor, info in header.tensors.items()}

    def _may_read(self) -> bool:
        self.reads_left -= 1
        return self.reads_left >= 0


def path_in(folder: str, name: str) -> str:
    """path_in_repo of a file in a folder."""
    return name if folder == "." else f"{folder}/{name}"


def parent_of(folder: str) -> str:
    """The folder above; `.` for one at the top."""
    return folder.rpartition("/")[0] or "."


def is_pickle(name: str) -> bool:
    """Whether a file's name says that it is a pickle."""
    return name.lower().endswith(PICKLE_ENDINGS)


def phrase(**facts: object) -> str:
    """`d_in 16, k 8`: the facts that are known, in the order given."""
    return ", ".join(f"{name} {fact}" for name, fact in facts.items() if fact is not None)
